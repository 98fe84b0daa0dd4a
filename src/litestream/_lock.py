"""The lock beside a database: one daemon per database and host, one restore at a time."""

from __future__ import annotations

import fcntl
import os
import weakref

from litestream.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Lock:
    """An exclusive lock on a database, taken on the file `.NAME-litestream.lock` beside it.

    It is an `flock`, so it goes when the last process that holds the open file ends, however that
    ends; a daemon inherits it and keeps it for as long as it lives. A child made by `os.fork`
    closes its copy and cannot free its parent's lock. The file is keyed by the database's real
    path, and is never unlinked: two processes could each hold "the" lock then.
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
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"The lock {self.path!r} cannot be opened: {error.strerror}. The folder of a "
                "replicated database must exist and be writable, and the lock be no symbolic link"
            ) from error
        try:
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

    def noted(self) -> dict[str, Any]:
        """Return what the lock file says, whoever holds the lock.

        `socket` is the daemon's control socket, `directory` our run-time directory, `ended` the
        transaction with which a daemon of ours ended well, `restored` the device and inode of a
        database that `recover` has restored.
        """
        import json

        try:
            with open(self.path, "rb") as file:
                content = json.loads(file.read(65536))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def note(self, **values: object) -> None:
        """Write values into the lock file, beside those that are there. Hold the lock."""
        import json

        if self.file is not None:
            note = json.dumps({**self.noted(), **values}).encode()
            os.pwrite(self.file, note, 0)
            os.ftruncate(self.file, len(note))


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _after_fork() -> None:
    for lock in list(_held):
        if lock.file is not None:
            os.close(lock.file)
            lock.file = None


os.register_at_fork(after_in_child=_after_fork)
