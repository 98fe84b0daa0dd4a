"""The output of a restore: the checks before it, and the last step, the rename."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import sqlite3
from typing import TYPE_CHECKING

from litestream._database.files import SIDE_FILES, is_database
from litestream._database.wal import WAL_HEADER_SIZE
from litestream.errors import (
    NotEnoughSpaceError,
    OutputExistsError,
    OutputInUseError,
    OutputNotWritableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def require_place(path: str, *, force: bool, expected: int | None) -> None:
    """Refuse an output that cannot, or must not, be written.

    Raises:
        OutputExistsError: something is there and ``force`` is not given, or it is no file.
        OutputInUseError: the file to be replaced is open in a process.
        OutputNotWritableError: its directory is missing or cannot be written to.
        NotEnoughSpaceError: less than ``expected`` bytes are free.

    """
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise OutputNotWritableError(
            f"The database cannot be restored to {path!r}: there is no directory {folder!r}. "
            "Create it, or name another output"
        )
    if os.path.lexists(path) and not os.path.isfile(path):
        raise OutputExistsError(
            f"The output {path!r} exists and is not a file. Name another output"
        )
    if not force:
        _require_absent(path)
    elif is_database(path):
        with _held(path):
            pass
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputNotWritableError(
            f"The database cannot be restored to {path!r}: the directory is not writable. "
            "Change its permissions, or name another output"
        )
    free = _free(folder)
    if expected is not None and free < expected:
        raise NotEnoughSpaceError(
            f"The database has {expected} bytes, and only {free} are free in {folder!r}. Make "
            "room, or name an output on another file system"
        )


def _free(folder: str) -> int:
    return shutil.disk_usage(folder).free


def _require_absent(path: str) -> None:
    if is_database(path):
        raise OutputExistsError(
            f"The output {path!r} exists. Name another output, or replace it with force=True"
        )
    stale = [name for suffix in SIDE_FILES if _is_full(name := path + suffix)]
    if stale:
        moves = " && ".join(
            f"mv {shlex.quote(name)} {shlex.quote(name + '.old')}" for name in stale
        )
        raise OutputExistsError(
            f"Beside the output there is {', '.join(map(repr, stale))}, left by a database that "
            "is no longer there: SQLite would play it into the restored one. If no process uses "
            f"it, move it away: {moves} (commands.restore(force=True) removes it)"
        )


def _is_full(path: str) -> bool:
    """Tell whether a side file holds anything that SQLite could play into another database.

    An index (`-shm`) holds nothing without its WAL; a WAL may have a header and no frame.
    """
    if path.endswith("-shm") or not os.path.lexists(path):
        return False
    if os.path.islink(path):
        return True
    return os.path.getsize(path) > (WAL_HEADER_SIZE if path.endswith("-wal") else 0)


def put_in_place(made: str, path: str, *, force: bool) -> None:
    """Move a finished database to the output, in one step, and flush the directory.

    Without ``force`` a file that has appeared there meanwhile is left alone.

    Raises:
        OutputExistsError, OutputInUseError: as ``require_place``.

    """
    _flush(made)
    if not force:
        _require_absent(path)
        # Empty ones: a process that still has the old database open would write into them.
        _remove_side_files(path)
        if os.path.lexists(path):  # 0 bytes
            os.replace(made, path)
        else:
            _link(made, path)
    elif is_database(path):
        with _held(path, alone=True):
            _remove_side_files(path)
            _take_over_mode(path, made)
            os.replace(made, path)
    else:
        _remove_side_files(path)
        os.replace(made, path)
    _flush(os.path.dirname(path))


def _link(made: str, path: str) -> None:
    """Rename without replacing a file, which ``os.rename`` cannot do."""
    try:
        os.link(made, path)
    except FileExistsError:
        _require_absent(path)
        os.replace(made, path)  # 0 bytes, made this instant
    except OSError:  # a file system without hard links
        os.replace(made, path)


@contextlib.contextmanager
def _held(path: str, *, alone: bool = False) -> Iterator[None]:
    """Hold the database that is to be replaced, so that no process can open it meanwhile.

    With ``alone`` its WAL is first moved into it and removed: a crash between here and the rename
    leaves the old database complete, and the new database never meets the old WAL.

    Raises:
        OutputInUseError: a process has it open.

    """
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        try:
            # In this mode SQLite takes its lock on the file itself; any other connection, a
            # daemon's too, holds a share of that lock for as long as it is open.
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN IMMEDIATE" if not alone else "SELECT 1 FROM sqlite_schema")
            if alone:
                connection.execute("PRAGMA journal_mode=DELETE")
                connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            if _is_busy(error):
                raise OutputInUseError(
                    f"The output {path!r} is a database that a process has open. Stop that "
                    "process (and the daemon that replicates it), or name another output"
                ) from None
            # damaged, encrypted, or no database at all: no process can be using it
        yield
    finally:
        connection.close()


def _is_busy(error: sqlite3.DatabaseError) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def _remove_side_files(path: str) -> None:
    for suffix in SIDE_FILES:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)


def _take_over_mode(old: str, new: str) -> None:
    """Give the new file the mode and owner of the old one, so that the application can open it."""
    stat = os.stat(old)
    with contextlib.suppress(PermissionError):
        os.chown(new, stat.st_uid, stat.st_gid)
    os.chmod(new, stat.st_mode & 0o777)


def _flush(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # directories on some file systems
            raise
    finally:
        os.close(descriptor)
