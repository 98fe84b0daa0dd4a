"""The lock beside a database: one daemon per database and host, one restore at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import weakref
from contextlib import suppress

from litestream.errors import ConfigurationError

_LOOKS = 5
_ROOM = 4096
"""Bytes: what the notes take on most file systems, and more than they hold."""
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe in its place must not hang us

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Lock:
    """An exclusive lock on a database, taken on the file `.NAME-litestream.lock` beside it.

    The lock is an `flock`: it is freed when the last process that has the file open ends, however
    that process ends. A daemon inherits the lock and keeps it as long as it lives. A child of
    `os.fork` closes its copy and cannot free its parent's lock. The file stands beside the
    database's real path. It is never unlinked: otherwise two processes could each hold "the" lock.
    """

    def __init__(self, database: str) -> None:
        self.database = os.path.realpath(database)
        folder, name = os.path.split(self.database)
        self.path = os.path.join(folder, f".{name}-litestream.lock")
        self.file: int | None = None
        self._owner = 0

    def acquire(self) -> bool:
        """Take the lock if it is free, without waiting.

        Raises:
            ConfigurationError: The lock file cannot be made: the folder is missing or read-only.

        """
        try:
            file = os.open(self.path, _FLAGS | os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"The lock {self.path!r} cannot be opened: {error.strerror}. {self._advice()}"
            ) from error
        try:
            self._take_over(file)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _reserve(file)
        except BlockingIOError:
            os.close(file)
            return False
        except BaseException:
            os.close(file)
            raise
        self.file, self._owner = file, os.getpid()
        _held.add(self)
        return True

    def release(self) -> None:
        """Free the lock; do nothing in a forked child, or if the lock is not held."""
        if self.file is not None and self._owner == os.getpid():
            os.close(self.file)
        self.file = None

    def is_lost(self) -> bool:
        """Tell whether the lock file was removed or replaced, so that others can take the lock.

        If the folder is gone as well, the lock is not lost: there is nothing to lock.
        """
        if self.file is None:
            return False
        try:
            found = os.lstat(self.path)
        except OSError:
            return os.path.isdir(os.path.dirname(self.path))
        return not os.path.samestat(found, os.fstat(self.file))

    def is_held(self) -> bool | None:
        """Tell whether anybody holds the lock; None if this user may not open the lock file.

        Nothing is written. A free lock is held as a shared lock for a moment; a process that wants
        the lock at that moment tries again.
        """
        try:
            file = os.open(self.path, _FLAGS | os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None
        finally:
            os.close(file)
        return False

    def noted(self) -> dict[str, Any]:
        """Return the notes in the lock file, whoever holds the lock.

        `socket` is the daemon's control socket, `directory` our run-time directory, `ended` the
        last transaction of a daemon of ours that ended well. `restored` is the device and inode of
        a database that `recover` has restored, `replicated` those of the last replicated database.
        `state`, `pid` and `restarts` are the daemon's, `since` is when the state began, `synced`
        when the replica last received something, `positions` how far each replica is (0.3).
        Notes that another user may have written are ignored.
        """
        import json

        for _ in range(_LOOKS):
            try:
                with open(os.open(self.path, _FLAGS | os.O_RDONLY), "rb") as file:
                    if not self._is_trusted(file.fileno()):
                        return {}
                    content = json.loads(file.read(65536).strip() or b"{}")
            except OSError:
                return {}
            except ValueError:  # it is being written
                continue
            return content if isinstance(content, dict) else {}
        return {}

    def note(self, **values: object) -> None:
        """Add values to the notes in the lock file. The caller holds the lock.

        One write, at least as long as the old content: no reader sees half of it, nor does a kill
        leave half of it.
        """
        import json

        if self.file is not None:
            note = json.dumps({**self.noted(), **values}).encode()
            note = note.ljust(os.fstat(self.file).st_size)
            if os.pwrite(self.file, note, 0) < len(note):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)

    def _take_over(self, file: int) -> None:
        """Refuse a file that is no lock; as root, give the lock to the folder's owner."""
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise ConfigurationError(
                f"The lock {self.path!r} is not a file of its own. Remove it: a stranger made it"
            )
        folder = os.stat(os.path.dirname(self.path))
        if os.geteuid() == 0 == found.st_uid and folder.st_uid != 0:
            os.fchown(file, folder.st_uid, folder.st_gid)

    def _is_trusted(self, file: int) -> bool:
        """Tell whether the file's owner may also replace the database: its owner, root, or us."""
        found = os.fstat(file)
        trusted = (0, os.geteuid(), os.stat(os.path.dirname(self.path)).st_uid)
        return stat.S_ISREG(found.st_mode) and found.st_uid in trusted and not found.st_mode & 0o022

    def _advice(self) -> str:
        with suppress(OSError):
            owner = os.lstat(self.path).st_uid
            if owner != os.geteuid():
                return (
                    f"It belongs to another user (number {owner}), such as the one that ran "
                    f"'litestream recover'. Run as that user, or: chown {os.geteuid()} {self.path}"
                )
        return (
            "The folder of a replicated database must exist and be writable, and the lock be no "
            "symbolic link"
        )


def _reserve(file: int) -> None:
    """Take the room that the notes need, while there is some: a full disk must not lose them."""
    if os.fstat(file).st_size < _ROOM:
        with suppress(OSError):
            os.pwrite(file, b" " * (_ROOM - os.fstat(file).st_size), os.fstat(file).st_size)


def acquire_all(locks: Iterable[Lock]) -> bool:
    """Take all of the locks, or none.

    Raises:
        ConfigurationError: One of the lock files cannot be made.

    """
    taken: list[Lock] = []
    for lock in locks:
        if not lock.acquire():
            for other in taken:
                other.release()
            return False
        taken.append(lock)
    return True


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _after_fork() -> None:
    for lock in list(_held):
        if lock.file is not None:
            os.close(lock.file)
            lock.file = None


os.register_at_fork(after_in_child=_after_fork)
