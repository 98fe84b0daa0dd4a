from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
import urllib.request
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litestream import _position
from litestream._logs import parse
from litestream._position import Position03, WALEnd
from tests.daemons import daemon, environment, executable, make_database, wait_for, write_config


def commit(database: Path, value: int) -> WALEnd:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO t VALUES (?)", (value,))
        connection.commit()
        end = _position.committed_end(_position.wal_path(database))
    assert end is not None
    return end


def restored(series: str, config: Path, database: Path, output: Path) -> set[int]:
    subprocess.run(
        [executable(series), "restore", "-config", str(config), "-o", str(output), str(database)],
        check=True,
        capture_output=True,
        env=environment(),
    )
    with closing(sqlite3.connect(output)) as connection:
        return {x for (x,) in connection.execute("SELECT x FROM t")}


def test_committed_end_is_none_without_a_wal(tmp_path: Path) -> None:
    assert _position.committed_end(tmp_path / "missing-wal") is None
    (tmp_path / "empty-wal").touch()
    assert _position.committed_end(tmp_path / "empty-wal") is None
    assert _position.wal_salts(tmp_path / "empty-wal") is None


def test_committed_end_leaves_out_what_was_never_committed(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    make_database(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("INSERT INTO t VALUES (1)")
        before = _position.committed_end(_position.wal_path(database))
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE big (x)")
        connection.executemany("INSERT INTO big VALUES (zeroblob(4000))", [()] * 100)
        assert before is not None
        assert os.path.getsize(_position.wal_path(database)) > before.offset  # it spilled
        assert _position.committed_end(_position.wal_path(database)) == before
        connection.execute("ROLLBACK")
        connection.execute("INSERT INTO t VALUES (2)")
        after = _position.committed_end(_position.wal_path(database))
    assert after is not None
    assert after.salts == before.salts
    assert after.offset == before.offset + 24 + 4096


def test_committed_end_leaves_out_frames_from_before_a_restart(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    make_database(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for value in range(20):
            connection.execute("INSERT INTO t VALUES (?)", (value,))
        before = _position.committed_end(_position.wal_path(database))
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        connection.execute("INSERT INTO t VALUES (1)")  # starts the WAL over
        after = _position.committed_end(_position.wal_path(database))
    assert before is not None
    assert after is not None
    assert after.salts != before.salts
    assert after.offset == 32 + 24 + 4096


def test_an_end_becomes_a_transaction_that_a_restore_contains(tmp_path: Path) -> None:
    database, config = tmp_path / "a.db", tmp_path / "litestream.yml"
    make_database(database)
    write_config(config, database, tmp_path / "replica")
    meta = Path(_position.meta_path(database))
    with daemon("0.5", config):
        wait_for(lambda: _position.newest_local(meta))
        for value in range(100, 105):
            end = commit(database, value)
            txid = wait_for(partial(_position.local_txid, meta, end))
            stored = tmp_path / "replica" / "ltx" / "0" / f"{txid:016x}-{txid:016x}.ltx"
            wait_for(stored.exists)
            assert value in restored("0.5", config, database, tmp_path / f"{value}.db")


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

    assert _position.local_txid(tmp_path, WALEnd((1, 1), 130)) == 1
    assert _position.local_txid(tmp_path, WALEnd((1, 1), 132)) == 1
    assert _position.local_txid(tmp_path, WALEnd((1, 1), 133)) == 2
    assert _position.local_txid(tmp_path, WALEnd((1, 1), 183)) is None
    assert _position.local_txid(tmp_path, WALEnd((2, 9), 41)) == 3
    assert _position.local_txid(tmp_path, WALEnd((7, 7), 41)) is None
    assert _position.newest_local(tmp_path) == (3, 32, ((2, 9), 41))
    assert _position.newest_local(tmp_path / "missing") is None


def test_an_end_becomes_a_position_that_the_replica_reaches(tmp_path: Path) -> None:
    database, config = tmp_path / "a.db", tmp_path / "litestream.yml"
    make_database(database)
    write_config(config, database, tmp_path / "replica", addr="127.0.0.1:0")
    meta = Path(_position.meta_path(database))
    with daemon("0.3", config):
        wait_for((meta / "generation").exists)
        for value in range(100, 105):
            end = commit(database, value)
            wanted = wait_for(partial(_position.shadow_position, meta, end))

            def reached(wanted: Position03 = wanted) -> bool:
                stored = _position.stored_position(tmp_path / "replica", wanted.generation)
                return stored is not None and stored.reaches(wanted)

            wait_for(reached)
            assert value in restored("0.3", config, database, tmp_path / f"{value}.db")
            wait_for(partial(replica_reaches, config, wanted))
        assert _position.stored_position(tmp_path / "replica", wanted.generation) == logged(config)


def replica_reaches(config: Path, wanted: Position03) -> bool:
    return logged(config).reaches(wanted)


def logged(config: Path) -> Position03:
    for line in reversed(config.with_suffix(".log").read_text().splitlines()):
        log = parse(line)
        if log is not None and log.message == "wal segment written":
            position = _position.logged_position(log.fields)
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
    assert _position.measured_position(metrics, "/a.db", "g") == ("g", 2, 1_040_000)
    assert _position.measured_position(metrics, "/b.db", "g") is None


def test_the_metrics_of_a_daemon_are_understood(tmp_path: Path, unused_port: int) -> None:
    database, config = tmp_path / 'a "b".db', tmp_path / "litestream.yml"
    make_database(database)
    write_config(config, database, tmp_path / "replica", addr=f"127.0.0.1:{unused_port}")
    meta = Path(_position.meta_path(database))

    def measured() -> Position03 | None:
        url = f"http://127.0.0.1:{unused_port}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return None
        return _position.measured_position(text, str(database), wanted.generation)

    with daemon("0.3", config):
        wait_for((meta / "generation").exists)
        end = commit(database, 100)
        wanted = wait_for(lambda: _position.shadow_position(meta, end))
        wait_for(lambda: (at := measured()) is not None and at.reaches(wanted))


@pytest.mark.parametrize("content", [b"", b"\x04\x22\x4d\x18", b"\x04\x22\x4d\x18" + b"\xff" * 60])
def test_a_frame_that_is_cut_off_is_no_length(content: bytes) -> None:
    with pytest.raises(ValueError, match="LZ4"):
        _position.lz4_length(content)


@given(st.binary(max_size=200))
def test_lz4_length_never_hangs(content: bytes) -> None:
    with suppress(ValueError):
        _position.lz4_length(b"\x04\x22\x4d\x18" + content)


@pytest.mark.parametrize("fields", [{}, {"position": "x"}, {"position": "g/1:z", "sz": "4"}])
def test_other_log_lines_tell_no_position(fields: dict[str, object]) -> None:
    assert _position.logged_position(fields) is None


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
