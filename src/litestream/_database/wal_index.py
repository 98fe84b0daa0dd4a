"""Read from SQLite's wal-index how many frames of a WAL are committed.

A frame in the WAL with the right salts and checksums need not be committed. A writer that is killed
inside COMMIT leaves such frames; SQLite never reads them, and the next writer overwrites them. Only
the wal-index (the `-shm` file) says where the committed frames end.

Source: https://www.sqlite.org/walformat.html, "The WAL-Index File Format".
"""

from __future__ import annotations

import os
import struct

from litestream._database.open_files import kept_open

_HEADER = struct.Struct("=IIIBBHII8s8s8s")
_SIZE = 48


def committed_frames(database: str) -> tuple[bytes, int] | None:
    """Return the salts of the WAL that the wal-index describes, and its committed frames.

    None when there is no wal-index, or while a writer is changing it.
    """
    fields = _HEADER.unpack(header(database) or bytes(_SIZE))
    is_initialised, frames, salts = fields[3], fields[6], fields[9]
    return (salts, frames) if is_initialised else None


def header(database: str) -> bytes:
    """Return the header of a wal-index; nothing without one, or while a writer is changing it."""
    file = kept_open(database + "-shm")
    if file is None:
        return b""
    for _ in range(5):
        head = os.pread(file, 2 * _SIZE, 0)
        first, second = head[:_SIZE], head[_SIZE:]
        if len(second) == _SIZE and first == second:
            return first
    return b""
