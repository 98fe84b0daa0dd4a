"""Positions in Litestream's local state."""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path

import pytest

from litestream._database import local_state, wal
from litestream._database.files import meta_path
from litestream._database.wal import WALEnd, wal_path
from tests.support import Site, restored_values, wait_until


def commit(site: Site, value: str) -> WALEnd:
    site.connection.execute("INSERT INTO items (value) VALUES (?)", (value,))
    end = wal.committed_end(wal_path(site.database))
    assert end is not None
    return end


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


@pytest.mark.parametrize("fields", [{}, {"position": "x"}, {"position": "g/1:z", "sz": "4"}])
def test_other_log_lines_tell_no_position(fields: dict[str, object]) -> None:
    assert local_state.logged_segment(fields) is None
