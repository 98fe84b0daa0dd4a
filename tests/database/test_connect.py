from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

import litestream


def test_a_connection_has_the_settings_that_litestream_wants(tmp_path: Path) -> None:
    with closing(litestream.connect(tmp_path / "a.db", isolation_level=None)) as connection:
        wanted = {"journal_mode": "wal", "synchronous": 1, "wal_autocheckpoint": 0}
        for pragma, value in {**wanted, "busy_timeout": 5000}.items():
            assert connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)
        assert connection.isolation_level is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 cannot say so before")
def test_the_last_connection_leaves_the_wal(tmp_path: Path) -> None:
    with closing(litestream.connect(tmp_path / "a.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    assert (tmp_path / "a.db-wal").stat().st_size > 0


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has no autocommit= before")
@pytest.mark.parametrize("wanted", [True, False, -1])
def test_a_connection_that_commits_as_it_is_told(tmp_path: Path, wanted: bool) -> None:
    with closing(litestream.connect(tmp_path / "a.db", autocommit=wanted)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
        assert connection.autocommit == wanted  # type: ignore[attr-defined, unused-ignore]
        assert connection.in_transaction == (wanted is False)


def test_what_is_no_database_is_closed_again(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        litestream.connect(tmp_path / "a.db")
