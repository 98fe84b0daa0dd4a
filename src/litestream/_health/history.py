"""The history of proofs: a small file beside each database, to which each verify appends.

Each line is one JSON object. A writer holds an `flock` on the file and appends a line by one
`write`; the lock ends with the writer's process. If a kill or a full disk cuts a line short,
readers skip that line, and the next writer closes it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from litestream import _settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestream.rows import HistoryRow

LINES = 2000
"""Lines that a history may have; one more, and the oldest quarter is removed."""
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe in its place must not hang us
_PATIENCE = 2.0
"""Seconds that another writer may hold the file."""
_MESSAGE = 1000
_BLOCK = 65536
_TYPES: dict[str, tuple[type, ...]] = {
    "at": (str,),
    "database": (str,),
    "method": (str,),
    "proved": (bool,),
    "reason": (str, type(None)),
    "message": (str, type(None)),
    "seconds": (int, float),
    "restore_seconds": (int, float, type(None)),
    "size": (int, type(None)),
    "position": (str, type(None)),
    "host": (str,),
}

_log = logging.getLogger("litestream.history")


def path_of(database: str) -> str | None:
    """Return the path of a database's history; None if no history is kept."""
    place = _settings.history_place()
    if place == "off":
        return None
    real = os.path.realpath(database)
    folder, name = os.path.split(real)
    if place:  # databases in several directories may have the same name
        mark = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
        return os.path.join(os.path.abspath(place), f"{name}-{mark}.history")
    return os.path.join(folder, f".{name}-litestream.history")


def append(row: HistoryRow) -> None:
    """Append a row to its database's history; if that fails, log a warning."""
    path = path_of(row["database"])
    if path is None:
        return
    try:
        _append(path, row["database"], _line(row))
    except OSError as error:
        _log.warning(
            "The history %r cannot be written: %s. Let this user write there, or choose another "
            "place: litestream.configure(history=…), LITESTREAM_HISTORY",
            path,
            error.strerror or error,
        )


def rows(database: str) -> list[HistoryRow]:
    """Return the rows of a database's history, oldest first, without damaged lines.

    Raises:
        PermissionError: The history may not be read.

    """
    return list(newest_first(database))[::-1]


def newest(database: str) -> HistoryRow | None:
    """Return the row of the last proof; None if there is no readable row."""
    with suppress(OSError):
        return next(newest_first(database), None)
    return None


def newest_first(database: str) -> Iterator[HistoryRow]:
    """Yield the rows of a database's history, newest first; read as little as needed."""
    path = path_of(database)
    if path is None:
        return
    try:
        file = os.open(path, _FLAGS | os.O_RDONLY)
    except PermissionError:
        raise
    except OSError:  # no history, or no regular file
        return
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            return
        for line in _lines_backwards(file, found.st_size):
            row = _parsed(line)
            if row is not None:
                yield row
    finally:
        os.close(file)


def _lines_backwards(file: int, end: int) -> Iterator[bytes]:
    rest = b""
    while end > 0:
        start = max(0, end - _BLOCK)
        first, *lines = (os.pread(file, end - start, start) + rest).split(b"\n")
        yield from reversed(lines)
        rest, end = first, start
        if len(rest) > 16 * _BLOCK:  # longer than any line of this library
            return
    yield rest


def _parsed(line: bytes) -> HistoryRow | None:
    try:
        row = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    for name, types in _TYPES.items():
        if name not in row or not isinstance(row[name], types):
            return None
    found: Any = {name: row[name] for name in _TYPES}
    return found if seconds_of(found["at"]) is not None else None


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def seconds_of(at: str) -> float | None:
    """Return a row's time in seconds since 1970."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return None


def _line(row: HistoryRow) -> bytes:
    message = row["message"]
    if message is not None and len(message) > _MESSAGE:
        row = {**row, "message": message[:_MESSAGE] + "…"}
    return json.dumps(row).encode() + b"\n"


def _append(path: str, database: str, line: bytes) -> None:
    """Append a line under the lock of the present file: a compaction replaces the file."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        file = _opened(path, database)
        try:
            _lock(file, deadline)
            if _is_named(file, path):
                size = os.fstat(file).st_size
                if size and os.pread(file, 1, size - 1) != b"\n":
                    line = b"\n" + line
                if os.write(file, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if size > _BLOCK:
                    _compact(file, path, database)
                return
        finally:
            os.close(file)


def _opened(path: str, database: str) -> int:
    with suppress(FileNotFoundError):
        return _own(os.open(path, _FLAGS | os.O_RDWR | os.O_APPEND), path)
    with suppress(FileExistsError):
        return _created(path, database)
    return _own(os.open(path, _FLAGS | os.O_RDWR | os.O_APPEND), path)


def _own(file: int, path: str) -> int:
    found = os.fstat(file)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
        return file
    os.close(file)
    raise OSError(errno.EINVAL, "it is no file of its own", path)


def _created(path: str, database: str) -> int:
    """Create the file with the database's owner, group and rights to read."""
    owner = os.stat(database)
    file = os.open(path, _FLAGS | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    with suppress(OSError):
        mode = 0o600 | (owner.st_mode & 0o060)
        if os.geteuid() == 0:
            os.fchown(file, owner.st_uid, owner.st_gid)
        elif os.fstat(file).st_gid != owner.st_gid:
            os.fchown(file, -1, owner.st_gid)
        os.fchmod(file, mode)
    return file


def _lock(file: int, deadline: float) -> None:
    while not _locked(file):
        if time.monotonic() > deadline:
            raise BlockingIOError(errno.EAGAIN, "another process holds it")
        time.sleep(0.005)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_named(file: int, path: str) -> bool:
    mine = os.fstat(file)
    try:
        there = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def _compact(file: int, path: str, database: str) -> None:
    lines = os.pread(file, os.fstat(file).st_size, 0).splitlines(keepends=True)
    if len(lines) <= LINES:
        return
    temporary = f"{path}.tmp"  # left by a killed writer, since this one holds the lock
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    copy = _created(temporary, database)
    try:
        os.write(copy, b"".join(lines[-LINES * 3 // 4 :]))
        os.rename(temporary, path)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    finally:
        os.close(copy)
