"""The lock beside a database: one daemon per database and host, one restore at a time."""

from __future__ import annotations

import fcntl
import os
import stat
import weakref
from contextlib import suppress

from litestream.errors import ConfigurationError

_LOOKS = 5
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe in its place must not hang us

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Lock:
    """An exclusive lock on a database, taken on the file `.NAME-litestream.lock` beside it.

    The lock is an `flock`: it is freed when the last process that has the file open ends, however
    that happens; a daemon inherits the lock and keeps it for as long as it lives. A child made by
    `os.fork` closes its copy and cannot free its parent's lock. The file is keyed by the database's
    real path, and is never unlinked: two processes could each hold "the" lock then.
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
        """Free the lock; nothing happens in a forked child, or when it is not held."""
        if self.file is not None and self._owner == os.getpid():
            os.close(self.file)
        self.file = None

    def is_lost(self) -> bool:
        """Tell whether another file is where the lock was taken, or none: anybody may have that.

        Not where the folder is gone as well: then there is nothing to lock.
        """
        if self.file is None:
            return False
        try:
            found = os.lstat(self.path)
        except OSError:
            return os.path.isdir(os.path.dirname(self.path))
        return not os.path.samestat(found, os.fstat(self.file))

    def is_held(self) -> bool | None:
        """Tell whether anybody holds the lock; None where this user may not know.

        Nothing is written. A free lock is held as a shared one for a moment; who finds it taken
        then tries again.
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
        """Return what the lock file says, whoever holds the lock.

        `socket` is the daemon's control socket, `directory` our run-time directory, `ended` the
        transaction with which a daemon of ours ended well, `restored` the device and inode of a
        database that `recover` has restored, `replicated` of the one that was replicated last.
        `state`, `pid` and `restarts` are the daemon's, `since` when the state began, `synced` when
        the replica last got something, `positions` how far each replica is (0.3).
        Notes that a stranger may have written are ignored.
        """
        import json

        for _ in range(_LOOKS):
            try:
                with open(os.open(self.path, _FLAGS | os.O_RDONLY), "rb") as file:
                    if not self._is_trusted(file.fileno()):
                        return {}
                    content = json.loads(file.read(65536) or b"{}")
            except OSError:
                return {}
            except ValueError:  # it is being written
                continue
            return content if isinstance(content, dict) else {}
        return {}

    def note(self, **values: object) -> None:
        """Write values into the lock file, beside those that are there. Hold the lock.

        By one write, at least as long as the old content: no reader, and no kill, sees half of it.
        """
        import json

        if self.file is not None:
            note = json.dumps({**self.noted(), **values}).encode()
            os.pwrite(self.file, note.ljust(os.fstat(self.file).st_size), 0)

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
        """Tell whether the file's owner may replace the database, too: its owner, root, or us."""
        found = os.fstat(file)
        trusted = (0, os.geteuid(), os.stat(os.path.dirname(self.path)).st_uid)
        return stat.S_ISREG(found.st_mode) and found.st_uid in trusted and not found.st_mode & 0o022

    def _advice(self) -> str:
        with suppress(OSError):
            owner = os.lstat(self.path).st_uid
            if owner != os.geteuid():
                return (
                    f"It belongs to another user (number {owner}), such as the one that ran "
                    f"'litestream recover'. Give it to this one: chown {os.geteuid()} to that file"
                )
        return (
            "The folder of a replicated database must exist and be writable, and the lock be no "
            "symbolic link"
        )


def acquire_all(locks: Iterable[Lock]) -> bool:
    """Take all of some locks, or none.

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
