"""Find the SQLite files below a directory; run as a program of its own.

A process that has a database open must not open its file a second time: closing that drops the
locks that SQLite holds there. Only the standard library is imported.
"""

from __future__ import annotations

import os
import stat
import sys

MAGIC = b"SQLite format 3\0"
TOOLS = frozenset(
    ("node_modules", "__pycache__", "site-packages", "venv", "env", "htmlcov", "build", "dist")
)
TESTS = frozenset(("test", "tests", "testing", "fixtures", "testdata", "test_data"))
_MOST = 300_000


def scan(root: str) -> list[tuple[str, str]]:
    """Return each SQLite file, and why it is left out (empty if it is not)."""
    found: list[tuple[str, str]] = []
    seen = 0
    for folder, directories, files in os.walk(root):
        kept = []
        for name in sorted(directories):
            path = os.path.join(folder, name)
            if name.startswith(".") or name in TOOLS or name.endswith("-litestream"):
                continue
            if os.path.exists(os.path.join(path, "pyvenv.cfg")) or _is_replica(path):
                continue
            kept.append(name)
        directories[:] = kept
        for name in sorted(files):
            seen += 1
            if seen > _MOST:
                return found
            path = os.path.join(folder, name)
            if not name.startswith(".") and _is_database(path):
                found.append((path, reason(root, path)))
    return found


def reason(root: str, path: str) -> str:
    """Return why a database is not one of the project's own; empty if it is."""
    parts = os.path.relpath(path, root).lower().split(os.sep)
    stem = parts[-1].split(".")[0]
    if stem.startswith(("test_", "test-")) or stem.endswith(("_test", "-test")) or stem == "test":
        return "it is a test's database"
    if TESTS & set(parts[:-1]):
        return "it is in a directory of tests"
    if parts[-1].endswith((".tmp", ".bak", ".backup", "~", ".old", ".orig")):
        return "it is a copy"
    if {"cache", "caches", "tmp", "temp"} & set(parts[:-1]) or stem in ("cache", "tmp"):
        return "it is a cache"
    return ""


def _is_replica(path: str) -> bool:
    """Tell whether a directory is a replica of Litestream's."""
    return any(os.path.isdir(os.path.join(path, name)) for name in ("generations", "ltx"))


def _is_database(path: str) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(file).st_mode) and os.read(file, 16) == MAGIC
    except OSError:
        return False
    finally:
        os.close(file)


if __name__ == "__main__":
    for _path, _reason in scan(sys.argv[1]):
        sys.stdout.buffer.write(os.fsencode(_path) + b"\0" + _reason.encode() + b"\0")
