"""A database, and the files that stand beside it."""

from __future__ import annotations

import os

from litestream.errors import UnusableDatabaseError

SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database, and would apply to another database of the same name."""


def is_database(path: str) -> bool:
    """Tell whether a file is there and not empty; 0 bytes are no database."""
    return os.path.isfile(path) and os.path.getsize(path) > 0


def identity(path: str) -> tuple[int, int] | None:
    """Return the device and the inode of what is at a path, a link itself; None when it is missing.

    A file that was replaced has another one, unless the file system uses the inode anew.
    """
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def path_of(database: object) -> str:
    """Return a database argument as text.

    Raises:
        TypeError: it is neither text nor a path.
        UnusableDatabaseError: it names a database in memory.

    """
    if not isinstance(database, (str, bytes, os.PathLike)):
        raise TypeError(f"database is a path or a replica URL, not {type(database).__name__}")
    text = os.fsdecode(database)
    inside = text.startswith("file:") and (":memory:" in text or "mode=memory" in text)
    if inside or text == ":memory:":
        raise UnusableDatabaseError(f"{text!r}: an in-memory database has no backup. Name a file")
    return text


def meta_path(database: str | os.PathLike[str]) -> str:
    """Return the directory in which Litestream keeps its local state, unless `meta-path` is set."""
    folder, name = os.path.split(os.fspath(database))
    return os.path.join(folder, f".{name}-litestream")


def head(path: str | os.PathLike[str], size: int) -> bytes:
    """Read the first bytes of a file; nothing if the file is missing or shorter."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        head = os.read(file, size)
    finally:
        os.close(file)
    return head if len(head) == size else b""
