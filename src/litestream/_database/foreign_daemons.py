"""Find a daemon that this library did not start, so that it holds no lock."""

from __future__ import annotations

import os
from contextlib import suppress

from litestream._database.files import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def find(databases: Iterable[str]) -> tuple[int, str] | None:
    """Return the process id of a Litestream that has a database open, and that database.

    The process table of Linux is read. On other systems nothing is found, nor is a process of
    another user. A daemon opens its databases a monitor interval after its start, and is not found
    before.
    """
    return next(((pid, path) for path, pid in find_all(databases).items()), None)


def hindrance(databases: Iterable[str], own: int = 0) -> str:
    """Return why a daemon of ours must not start beside another one; empty if it may.

    Our ``own`` daemon is about to end, and still has renamed files open.
    """
    found = find(databases)
    if found is None or found[0] == own:
        return ""
    return (
        f"a Litestream that this library did not start replicates {found[1]} (process "
        f"{found[0]}); two would destroy the replica. Stop that one first"
    )


def find_all(databases: Iterable[str]) -> dict[str, int]:
    """Return the process of a Litestream for each database that a Litestream has open.

    In a container, a daemon has another path for the same file.
    """
    paths = {os.path.realpath(path) for path in databases}
    files = {file: path for path in paths if (file := identity(path))}
    found: dict[str, int] = {}
    with suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit() and _is_litestream(name):
                with suppress(OSError):
                    found.update(dict.fromkeys(_open_files(name, paths, files), int(name)))
    return found


def may_be_hidden() -> bool:
    """Tell whether a daemon may run unseen: without a process table, or as another user."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return True
    return any(name.isdigit() and _is_concealed(name) for name in names)


def _is_concealed(name: str) -> bool:
    try:
        os.readlink(f"/proc/{name}/exe")
    except PermissionError:
        with suppress(OSError), open(f"/proc/{name}/comm", "rb") as file:
            return file.read().strip() == b"litestream"
    except OSError:
        pass
    return False


def _is_litestream(name: str) -> bool:
    # not by "comm": the script of this package has the same name
    with suppress(OSError):
        return os.path.basename(os.readlink(f"/proc/{name}/exe")).startswith("litestream")
    return False


def _open_files(name: str, paths: set[str], files: dict[tuple[int, int], str]) -> set[str]:
    """Return those of some paths that a process has open, by whatever path it has opened them."""
    found = set()
    for number in os.listdir(f"/proc/{name}/fd"):
        with suppress(OSError):
            path = os.readlink(f"/proc/{name}/fd/{number}")
            if path in paths:
                found.add(path)
            elif path.startswith("/"):  # no socket, and no pipe
                file = os.stat(f"/proc/{name}/fd/{number}")
                found.add(files.get((file.st_dev, file.st_ino), ""))
    return found - {""}
