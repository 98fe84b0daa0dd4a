"""What this process may not read or write of a database and what stands beside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_READ, _WRITE = os.R_OK, os.W_OK
_FOLDER = _READ | _WRITE | os.X_OK


def lacking(database: str, meta: str = "", replicas: Iterable[str] = (), *, write: bool) -> str:
    """Return a sentence on the first file that this user may not use; empty if there is none.

    ``meta`` is Litestream's local state, ``replicas`` are directories. Without ``write``, only the
    right to read counts.
    """
    folder = os.path.dirname(os.path.abspath(database))
    return _lacking((folder, database), write) or lacking_state(meta, replicas, write=write)


def lacking_state(meta: str, replicas: Iterable[str] = (), *, write: bool) -> str:
    """Do as `lacking`, for Litestream's local state and the replicas alone."""
    names = (), ("generation",), ("generations",), ("ltx",), ("ltx", "0")
    state = [os.path.join(meta, *under) for under in names] if meta else []
    return _lacking((*state, *replicas), write)


def _lacking(paths: Iterable[str], write: bool) -> str:
    for path in paths:
        wanted = _FOLDER if os.path.isdir(path) else _READ | _WRITE
        if not write:
            wanted &= ~_WRITE
        if os.path.exists(path) and not os.access(path, wanted):
            verb = "write" if os.access(path, wanted & ~_WRITE) else "read"
            return f"this user ({os.geteuid()}) may not {verb} {path!r} ({_described(path)})"
    return ""


def _described(path: str) -> str:
    found = os.stat(path)
    return f"its mode is {found.st_mode & 0o7777:04o}, its owner {found.st_uid}"
