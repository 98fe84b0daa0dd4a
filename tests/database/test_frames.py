"""The frames of a WAL, while others write it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from litestream._database.frames import Frames
from litestream._database.wal import committed_end, wal_path


def test_a_frame_that_is_overwritten_while_it_is_read_is_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The WAL was restarted; SQLite writes the header of a frame before its page."""
    path = tmp_path / "app.db"
    read = os.pread
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        for statement in ("CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"):
            connection.execute(statement)
        end = committed_end(wal_path(path))
        assert end is not None
        with closing(Frames(wal_path(path), end.salts)) as frames:
            assert len(frames.last(32, end.offset)) == 2

            def restart_before_a_page(file: int, size: int, offset: int) -> bytes:
                if size == 4096:
                    connection.execute("PRAGMA wal_checkpoint(RESTART)")
                    for number in range(3):
                        connection.execute("INSERT INTO t VALUES (?)", (number,))
                return read(file, size, offset)

            monkeypatch.setattr("os.pread", restart_before_a_page)
            assert frames.last(32, end.offset) == {}
