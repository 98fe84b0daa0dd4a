"""A private directory in which a file is built, removed once its maker is gone."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import time
from typing import TYPE_CHECKING

from litestream._executable.run import Output

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_PREFIX = ".litestream-restore-"
_OWNER = "owner"
_PATIENCE = 100  # hundredths of a second for a killed process to go
_NAME = re.compile(re.escape(_PREFIX) + "[0-9a-f]{16}")
_EVERY = 1.0
"""Seconds in which one look into a folder is enough: it may hold thousands of databases."""
_swept: dict[str, float] = {}


class Staging:
    """A directory of mode 0700 in ``folder``, removed at the end of the ``with`` block.

    The directory is locked for as long as this process, or a child that was given ``lock``, lives.
    The next restore in the same folder removes directories that nobody locks any more: the only way
    to clean up after a process that was killed by SIGKILL. A child that outlives such a process,
    because its endpoint never answers, is killed then.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._owner = -1
        self.path = ""
        self.lock = -1
        self.output = Output("", "")
        """What the executable printed when it filled the directory."""

    def __enter__(self) -> Self:
        _sweep(self._folder)
        try:
            self._make()
        except BaseException:  # a full disk, or Ctrl-C
            self._remove()
            raise
        return self

    def _make(self) -> None:
        while True:
            self.path = os.path.join(self._folder, f"{_PREFIX}{secrets.token_hex(8)}")
            os.mkdir(self.path, 0o700)
            try:
                self.lock = _open_directory(self.path)
            except FileNotFoundError:  # a sweep came between, and took it for abandoned
                continue
            locked = True
            with contextlib.suppress(OSError):
                locked = _lock(self.lock)
            if locked and _is_still(self.path, self.lock):
                break
            os.close(self.lock)  # the same, an instant later
            self.lock = -1
        self._owner = _open_file(self.file(_OWNER), os.O_CREAT)
        with contextlib.suppress(OSError):
            _lock(self._owner)

    def _remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        for file in (self._owner, self.lock):
            if file >= 0:
                os.close(file)
        self._owner = self.lock = -1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    def note_child(self, pid: int) -> None:
        """Note the child that holds the lock, too."""
        os.pwrite(self._owner, str(pid).encode(), 0)

    def file(self, name: str) -> str:
        """Return the path of a file in the directory."""
        return os.path.join(self.path, name)

    def written(self) -> tuple[int, int]:
        """Return the bytes in the directory's files, and when one was last changed (ns)."""
        size = changed = 0
        with os.scandir(self.path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    stat = entry.stat(follow_symlinks=False)
                    size += stat.st_size
                    changed = max(changed, stat.st_mtime_ns)
        return size, changed


def _sweep(folder: str) -> None:
    """Remove what processes that are dead have left in ``folder``."""
    now = time.monotonic()
    if now < _swept.get(folder, 0.0) + _EVERY:
        return
    _swept[folder] = now
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if _NAME.fullmatch(name):
                _remove_if_abandoned(os.path.join(folder, name))


def _remove_if_abandoned(path: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = _open_directory(path)
        try:
            ours = os.fstat(descriptor).st_uid == os.geteuid()
            if ours and (_lock(descriptor) or _is_free_of_its_orphan(path, descriptor)):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)


def _is_free_of_its_orphan(path: str, directory: int) -> bool:
    """Kill the child of a dead owner, and say whether that freed the directory.

    The child is recognised by the directory's name among its arguments (Linux).
    """
    owner = _open_file(os.path.join(path, _OWNER))
    try:
        if not _lock(owner):
            return False
        pid = int(os.pread(owner, 20, 0) or 0)
    finally:
        os.close(owner)
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/cmdline", "rb") as arguments:
            if os.fsencode(path) + b"/" not in arguments.read():
                return False
        os.kill(pid, signal.SIGKILL)
        for _ in range(_PATIENCE):
            if _lock(directory):
                return True
            time.sleep(0.01)
    return False


def _open_file(path: str, flags: int = 0) -> int:
    return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)


def _open_directory(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _lock(descriptor: int) -> bool:
    """Say whether the lock was had.

    Raises:
        OSError: the file system has no such locks (NFS). Nothing is swept there.

    """
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(path: str, descriptor: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    return False
