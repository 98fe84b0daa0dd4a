"""Tell where the last commit of a WAL ends.

Everything here reads the WAL by plain `open()`, which is safe for it. It never opens the database
or its `-shm`: closing those drops the locks that SQLite holds on them in the same process (POSIX).

The question "is this commit in the replica?" needs three answers:

1. `committed_end`: where the WAL's last commit ends, right after the commit returned;
2. Litestream's name for that place, once it has copied the commit (`local_state`);
3. what the replica holds: on 0.5 the highest `max_txid` of `litestream ltx -level all`, or the
   control socket's `replicated_txid`; on 0.3 the daemon's log (`local_state`), its metrics, or a
   replica on disk (`_durability.series_03`).

If the WAL is restarted between 1 and 2, the old place cannot be found any more. Ask for
`committed_end` again: a later end covers every earlier commit.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from litestream._database.files import head
from litestream._database.wal_index import committed_frames

WAL_HEADER_SIZE = 32
WAL_FRAME_HEADER_SIZE = 24
_FRAMES = 5000  # a longer run without a commit frame counts as a commit under way

Salts = tuple[int, int]


class WALEnd(NamedTuple):
    """A place in a WAL: the salts of its header, and a byte offset."""

    salts: Salts
    offset: int


def wal_path(database: str | os.PathLike[str]) -> str:
    """Return the path of a database's WAL."""
    return os.fspath(database) + "-wal"


def wal_salts(wal: str | os.PathLike[str]) -> Salts | None:
    """Return the salts of a WAL's header, or None when there is no WAL or it is empty."""
    header = head(wal, WAL_HEADER_SIZE)
    return struct.unpack(">II", header[16:24]) if header else None


def page_size(wal: str) -> int:
    """Return the size of the pages in a WAL in bytes, or 0 when there is no WAL."""
    header = head(wal, WAL_HEADER_SIZE)
    return int.from_bytes(header[8:12], "big") if header else 0


def committed_end(wal: str | os.PathLike[str]) -> WALEnd | None:
    """Find where the last commit in a WAL ends; None when there is no WAL or it is empty.

    The wal-index names the end. Without a wal-index, or while it describes the next WAL, all whole
    frames with the header's salts count: SQLite would take them for committed. If this is read
    right after a COMMIT has returned, the end covers that commit.
    """
    try:
        file = os.open(wal, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        header = os.pread(file, WAL_HEADER_SIZE, 0)
        if len(header) < WAL_HEADER_SIZE:
            return None
        page_size, _, salt1, salt2 = struct.unpack(">IIII", header[8:24])
        frame_size = WAL_FRAME_HEADER_SIZE + page_size
        salts = header[16:24]
        index = committed_frames(os.fspath(wal).removesuffix("-wal"))
        if index is not None and index[0] == salts:
            return WALEnd((salt1, salt2), WAL_HEADER_SIZE + index[1] * frame_size)
        size = os.fstat(file).st_size
        end = offset = WAL_HEADER_SIZE
        while offset + frame_size <= size and (frame := os.pread(file, 16, offset))[8:] == salts:
            offset += frame_size
            if frame[4:8] != b"\0\0\0\0":  # the database's size in pages: set on commit frames only
                end = offset
        return WALEnd((salt1, salt2), end)
    finally:
        os.close(file)


def holds_more(wal: str, copied: WALEnd | None) -> bool:
    """Tell whether a WAL holds a commit that was not copied, without reading the wal-index.

    The frames of a writer that died in its COMMIT count as a commit until they are written over.
    """
    try:
        file = os.open(wal, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        header = os.pread(file, WAL_HEADER_SIZE, 0)
        if len(header) < WAL_HEADER_SIZE:
            return False
        page_size, _, *salts = struct.unpack(">IIII", header[8:24])
        same = copied is not None and copied.salts == tuple(salts)
        offset = copied.offset if copied is not None and same else WAL_HEADER_SIZE
        for _ in range(_FRAMES):
            frame = os.pread(file, 16, offset)
            if frame[8:] != header[16:24]:
                return False
            if frame[4:8] != b"\0\0\0\0":
                return True
            offset += WAL_FRAME_HEADER_SIZE + page_size
        return True
    finally:
        os.close(file)


def is_being_restarted(wal: str) -> bool:
    """Tell whether the wal-index already describes the next WAL, not the one in the file."""
    index = committed_frames(wal.removesuffix("-wal"))
    salts = wal_salts(wal)
    return index is not None and salts is not None and index[0] != struct.pack(">II", *salts)
