"""Read from SQLite's wal-index how many frames of a WAL are committed.

A frame in the WAL with the right salts and checksums need not be committed. A writer that is killed
inside COMMIT leaves such frames; SQLite never reads them, and the next writer overwrites them. Only
the wal-index (the `-shm` file) says where the committed frames end.

Source: https://www.sqlite.org/walformat.html, "The WAL-Index File Format".
"""

from __future__ import annotations

import os
import struct
import time
from collections import deque
from contextlib import suppress

_HEADER = struct.Struct("=IIIBBHII8s8s8s")
_SIZE = 48

_IN_USE = 60.0
"""Seconds in which another thread still reads from a descriptor that it has got."""

_SPARE = 1024
"""Files that this process may open beside those that are kept open."""
_FEW = 16
"""Files that may be kept open without a look at the limit."""

_files: dict[str, tuple[tuple[int, int], int]] = {}
_retired: deque[tuple[float, int]] = deque()


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


def kept_open(path: str) -> int | None:
    """Return a descriptor of a database or its wal-index for reading; None when it is missing.

    The file is opened once and stays open: to close it would drop the locks that SQLite holds on it
    in this process (POSIX). A deleted or replaced file is closed some time later: no other process
    looks for locks there. Threads may call this at once: a descriptor is closed by one of them.
    """
    try:
        stat = os.stat(path)
    except OSError:
        return None
    known = _files.get(path)
    if known is not None and known[0] == (stat.st_dev, stat.st_ino):
        return known[1]
    if len(_files) >= _FEW:
        _raise_file_limit(len(_files) + _SPARE)
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    _retire(_files.pop(path, None))
    stat = os.fstat(file)
    _files[path] = (stat.st_dev, stat.st_ino), file
    return file


def _raise_file_limit(wanted: int) -> None:
    """Raise the limit of open files to a number, or as far as we may."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has a lower one, which it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _retire(known: tuple[tuple[int, int], int] | None) -> None:
    """Close a descriptor of a deleted file, once no thread reads from it any more."""
    now = time.monotonic()
    if known is not None and not os.fstat(known[1]).st_nlink:
        _retired.append((now, known[1]))
    while _retired:
        try:
            since, file = _retired.popleft()
        except IndexError:  # another thread was faster
            return
        if since > now - _IN_USE:
            _retired.appendleft((since, file))
            return
        os.close(file)
