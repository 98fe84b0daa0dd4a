"""The files that this process holds open, and how many it may open."""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import suppress

_IN_USE = 60.0
"""Seconds in which another thread still reads from a descriptor that it has got."""

_SPARE = 1024
"""Files that this process may open beside those that are kept open."""
_FEW = 16
"""Files that may be kept open without a look at the limit."""

_FILES, _FILES_BESIDE = 8, 50
"""Open files for each database: its lock, those of two connections, one to look; and for the rest.
"""
_MANY = 1 << 16

_files: dict[str, tuple[tuple[int, int], int]] = {}
_retired: deque[tuple[float, int]] = deque()


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
        raise_file_limit(len(_files) + _SPARE)
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    _retire(_files.pop(path, None))
    stat = os.fstat(file)
    _files[path] = (stat.st_dev, stat.st_ino), file
    return file


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


def raise_file_limit(wanted: int = _MANY) -> tuple[int, int]:
    """Raise the limit of open files to a number, or as far as we may; return what it was.

    A hand-over holds some files of every database, and the usual limit is 1,024.
    """
    import resource

    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has a lower one, which it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return before


def files_needed(databases: int) -> int:
    """Return how many files the start of a daemon for so many databases opens at most."""
    return _FILES * databases + _FILES_BESIDE


def too_few_files(databases: int) -> str:
    """Say that the limit of open files is too low for so many databases, if it is."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    needed = files_needed(databases)
    if limit == resource.RLIM_INFINITY or needed <= limit:
        return ""
    return (
        f"{databases} databases need {needed} open files at a start, and the limit is {limit}: "
        "changes may be missed. Raise the hard limit ('ulimit -Hn', LimitNOFILE= in systemd)"
    )
