"""The private run-time directory of a daemon: our config for it, and its control socket."""

from __future__ import annotations

import os
from contextlib import suppress

_LONGEST_SOCKET = 100
"""Bytes that the path of a Unix socket may have: 104 on macOS, 108 on Linux, and the end."""
_NAMES = ("litestream.yml", "litestream.sock")


def make() -> str:
    """Make a private directory (0700) whose path is short enough for a socket in it."""
    import tempfile  # only who makes one needs it

    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for parent in (runtime, tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes it 0700
        length = len(os.fsencode(parent)) + len("/litestream-12345678/litestream.sock")
        # What the user's config refers to is expanded, and our path stands in it.
        good = parent and "$" not in parent and length < _LONGEST_SOCKET
        if good and os.access(parent, os.W_OK | os.X_OK):
            return tempfile.mkdtemp(prefix="litestream-", dir=parent)
    return tempfile.mkdtemp(prefix="litestream-")


def keep(directory: str) -> None:
    """Touch what is in a directory of ours, lest it be cleared away as old.

    Source: systemd-tmpfiles removes what is ten days old from the temporary directory, macOS what
    is three days old.
    """
    for name in ("", *_NAMES) if directory else ():
        with suppress(OSError):
            os.utime(os.path.join(directory, name))


def remove(directory: str) -> None:
    """Remove a directory that `make` has made; nothing when it is none, or gone."""
    if not directory:  # none was made: never touch what lies in the current one
        return
    for name in _NAMES:
        with suppress(OSError):
            os.unlink(os.path.join(directory, name))
    with suppress(OSError):
        os.rmdir(directory)
