from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from litestream._database import wal
from litestream._database.wal import wal_path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE t (x INTEGER)")
    return path


def test_committed_end_is_none_without_a_wal(tmp_path: Path) -> None:
    assert wal.committed_end(tmp_path / "missing-wal") is None
    (tmp_path / "empty-wal").touch()
    assert wal.committed_end(tmp_path / "empty-wal") is None
    assert wal.wal_salts(tmp_path / "empty-wal") is None


def test_committed_end_leaves_out_what_was_never_committed(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("INSERT INTO t VALUES (1)")
        before = wal.committed_end(wal_path(database))
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE big (x)")
        connection.executemany("INSERT INTO big VALUES (zeroblob(4000))", [()] * 100)
        assert before is not None
        assert os.path.getsize(wal_path(database)) > before.offset  # it spilled
        assert wal.committed_end(wal_path(database)) == before
        connection.execute("ROLLBACK")
        connection.execute("INSERT INTO t VALUES (2)")
        after = wal.committed_end(wal_path(database))
    assert after is not None
    assert after.salts == before.salts
    assert after.offset == before.offset + 24 + 4096


def test_committed_end_leaves_out_frames_from_before_a_restart(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for value in range(20):
            connection.execute("INSERT INTO t VALUES (?)", (value,))
        before = wal.committed_end(wal_path(database))
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        connection.execute("INSERT INTO t VALUES (1)")  # starts the WAL over
        after = wal.committed_end(wal_path(database))
    assert before is not None
    assert after is not None
    assert after.salts != before.salts
    assert after.offset == 32 + 24 + 4096


def test_a_commit_behind_what_was_copied(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    file = f"{path}-wal"
    assert not wal.holds_more(file, None)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE items (value)")
        copied = wal.committed_end(file)
        assert wal.holds_more(file, None)
        assert not wal.holds_more(file, copied)
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN")  # it spills into the WAL
        connection.execute("INSERT INTO items VALUES (zeroblob(100000))")
        assert not wal.holds_more(file, copied)
        connection.execute("COMMIT")
        assert wal.holds_more(file, copied)
        copied = wal.committed_end(file)
        connection.execute("PRAGMA wal_checkpoint(RESTART)")
        assert not wal.holds_more(file, copied)
        connection.execute("INSERT INTO items VALUES (1)")
        assert wal.holds_more(file, copied)
