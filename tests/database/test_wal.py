from __future__ import annotations

import os
import sqlite3
import struct
import urllib.request
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litestream._database import local_state, wal
from litestream._database.files import meta_path, wal_path
from litestream._database.local_state import Position03
from litestream._database.wal import WALEnd
from litestream._durability.lz4 import lz4_length
from litestream._durability.series_03 import measured_position, stored_position
from litestream._executable.log_lines import parse
from tests.support import Site, free_port, restored_values, wait_until


def commit(site: Site, value: str) -> WALEnd:
    site.connection.execute("INSERT INTO items (value) VALUES (?)", (value,))
    end = wal.committed_end(wal_path(site.database))
    assert end is not None
    return end


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


@pytest.mark.only_series("0.5")
def test_an_end_becomes_a_transaction_that_a_restore_contains(site: Site) -> None:
    meta = Path(meta_path(site.database))
    site.start()
    wait_until(lambda: local_state.newest_local(meta), "the first file")
    for value in "abcde":
        end = commit(site, value)
        txid = wait_until(partial(local_state.local_txid, meta, end), "its local file")
        stored = site.replica_path / "ltx" / "0" / f"{txid:016x}-{txid:016x}.ltx"
        wait_until(stored.exists, "its file in the replica")
        assert value in restored_values(site)


def test_a_transaction_is_the_oldest_that_covers_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "ltx" / "0"
    folder.mkdir(parents=True)
    for txid, start, size, salts in (
        (1, 32, 100, (1, 1)),
        (2, 132, 50, (1, 1)),
        (3, 32, 9, (2, 9)),
    ):
        header = b"LTX1" + bytes(20) + struct.pack(">Q", txid) + bytes(16)
        header += struct.pack(">QQII", start, size, *salts) + bytes(28)
        (folder / f"{txid:016x}-{txid:016x}.ltx").write_bytes(header)
    (folder / "0000000000000004-0000000000000004.ltx.tmp").write_bytes(b"LTX1")
    (folder / "0000000000000005-0000000000000005.ltx").write_bytes(b"LTX1")  # cut off

    assert local_state.local_txid(tmp_path, WALEnd((1, 1), 130)) == 1
    assert local_state.local_txid(tmp_path, WALEnd((1, 1), 132)) == 1
    assert local_state.local_txid(tmp_path, WALEnd((1, 1), 133)) == 2
    assert local_state.local_txid(tmp_path, WALEnd((1, 1), 183)) is None
    assert local_state.local_txid(tmp_path, WALEnd((2, 9), 41)) == 3
    assert local_state.local_txid(tmp_path, WALEnd((7, 7), 41)) is None
    newest = local_state.newest_local(tmp_path)
    assert newest is not None
    assert newest[:3] == (3, 32, ((2, 9), 41))
    assert local_state.newest_local(tmp_path / "missing") is None


@pytest.mark.only_series("0.3")
def test_an_end_becomes_a_position_that_the_replica_reaches(site: Site) -> None:
    meta = Path(meta_path(site.database))
    site.start()
    wait_until((meta / "generation").exists, "the generation")
    for value in "abcde":
        end = commit(site, value)
        wanted = wait_until(partial(local_state.shadow_position, meta, end), "its position")

        def reached(wanted: Position03 = wanted) -> bool:
            stored = stored_position(site.replica_path, wanted.generation)
            return stored is not None and stored.reaches(wanted)

        wait_until(reached, "the replica")
        assert value in restored_values(site)
        wait_until(partial(is_logged, site, wanted), "the log line")
    assert stored_position(site.replica_path, wanted.generation) == logged(site)


def is_logged(site: Site, wanted: Position03) -> bool:
    return logged(site).reaches(wanted)


def logged(site: Site) -> Position03:
    for line in reversed(site.log.read_text().splitlines()):
        log = parse(line)
        if log is not None and log.message == "wal segment written":
            position = local_state.logged_position(log.fields)
            assert position is not None
            return position
    return Position03("", 0, 0)


def test_metrics_tell_the_position_of_the_replica_that_is_furthest_behind() -> None:
    metrics = "\n".join(
        (
            'litestream_replica_wal_index{db="/a.db",name="one"} 3',
            'litestream_replica_wal_index{db="/a.db",name="two"} 2',
            'litestream_replica_wal_index{db="/other.db",name="one"} 1',
            'litestream_replica_wal_offset{db="/a.db",name="one"} 0',
            'litestream_replica_wal_offset{db="/a.db",name="two"} 1.04e+06',
        )
    )
    assert measured_position(metrics, "/a.db", "g") == ("g", 2, 1_040_000)
    assert measured_position(metrics, "/b.db", "g") is None


@pytest.mark.only_series("0.3")
def test_the_metrics_of_a_daemon_are_understood(make_site: Callable[..., Site]) -> None:
    site = make_site(name='a "b".db')
    port = free_port()
    site.configure("50ms", addr=f"127.0.0.1:{port}")
    meta = Path(meta_path(site.database))

    def measured() -> Position03 | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return None
        return measured_position(text, str(site.database), wanted.generation)

    site.start()
    wait_until((meta / "generation").exists, "the generation")
    end = commit(site, "new")
    wanted = wait_until(lambda: local_state.shadow_position(meta, end), "its position")
    wait_until(lambda: (at := measured()) is not None and at.reaches(wanted), "the metrics")


@pytest.mark.parametrize("content", [b"", b"\x04\x22\x4d\x18", b"\x04\x22\x4d\x18" + b"\xff" * 60])
def test_a_frame_that_is_cut_off_is_no_length(content: bytes) -> None:
    with pytest.raises(ValueError, match="LZ4"):
        lz4_length(content)


@given(st.binary(max_size=200))
def test_lz4_length_never_hangs(content: bytes) -> None:
    with suppress(ValueError):
        lz4_length(b"\x04\x22\x4d\x18" + content)


@pytest.mark.parametrize("fields", [{}, {"position": "x"}, {"position": "g/1:z", "sz": "4"}])
def test_other_log_lines_tell_no_position(fields: dict[str, object]) -> None:
    assert local_state.logged_position(fields) is None
