"""The private run-time directory of a daemon, for its config and its control socket."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

_LONGEST_SOCKET = 100
"""Bytes of a Unix socket's path: 104 on macOS and 108 on Linux, with the null byte."""
_PREFIX = "litestream-"
_NAMES = ("litestream.yml", "litestream.sock", "litestream.yml.new")


def make() -> str:
    """Make a private directory (0700) whose path is short enough for a socket in it.

    XDG_RUNTIME_DIR is no place for it: it is emptied when the user logs out, while the daemon runs
    on.
    """
    import tempfile  # only the process that makes a directory needs it

    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes it 0700
        length = len(os.fsencode(parent)) + len("/litestream-12345678/litestream.sock")
        # This path stands in the config's text, which is expanded.
        good = parent and "$" not in parent and length < _LONGEST_SOCKET
        if good and os.access(parent, os.W_OK | os.X_OK):
            return tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
    return tempfile.mkdtemp(prefix=_PREFIX)


def write(directory: str, config: str) -> None:
    """Write the daemon's config if the file is missing; do nothing without a config.

    A directory that was removed, as by a cleaning of `/tmp`, is made again.

    Raises:
        OSError: The file cannot be written, or the directory is not a private one of this library.

    """
    path = os.path.join(directory, _NAMES[0])
    if not (directory and config) or os.path.exists(path):
        return
    with suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    if not is_ours(directory):
        raise PermissionError(errno.EPERM, "somebody else's directory is there", directory)
    _create(path, config)


def rewrite(directory: str, config: str) -> None:
    """Replace the daemon's config in one step: nobody reads half a file.

    Raises:
        OSError: As `write`.

    """
    beside = os.path.join(directory, _NAMES[2])
    with suppress(FileNotFoundError):
        os.unlink(beside)
    _create(beside, config)
    os.replace(beside, os.path.join(directory, _NAMES[0]))


def forget(directory: str) -> None:
    """Remove the daemon's config, so that another one can be written."""
    if is_ours(directory):
        with suppress(OSError):
            os.unlink(os.path.join(directory, _NAMES[0]))


def _create(path: str, config: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(file, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(config)
    except OSError:  # a full disk: half a config would be read as a whole one
        os.unlink(path)
        raise


def is_ours(directory: str) -> bool:
    """Tell whether a directory looks as if `make` had made it for this user."""
    try:
        status = os.lstat(directory)
    except OSError:
        return False
    name = os.path.basename(directory)
    return (
        name.startswith(_PREFIX)
        and len(name) == len(_PREFIX) + 8
        and stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & 0o077
    )


def keep(directory: str) -> None:
    """Touch the files of the directory, so that nobody removes them as old.

    Source: in the temporary directory, systemd-tmpfiles removes files after ten days, macOS after
    three.
    """
    for name in ("", *_NAMES) if directory else ():
        with suppress(OSError):
            os.utime(os.path.join(directory, name))


def remove(directory: str) -> None:
    """Remove a directory that `make` has made; do nothing if the directory is foreign or gone.

    The name may come from a lock file, which others may write if the folder is theirs.
    """
    if not os.path.isabs(directory) or not is_ours(directory):
        return
    if not {*_listed(directory)} <= {*_NAMES}:
        return
    for name in _NAMES:
        with suppress(OSError):
            os.unlink(os.path.join(directory, name))
    with suppress(OSError):
        os.rmdir(directory)


def _listed(directory: str) -> list[str]:
    with suppress(OSError):
        return os.listdir(directory)
    return []
