"""Which files are SQLite databases, without opening one in this process.

A process that closes a file drops the locks that SQLite holds on it in this process (POSIX), and
SQLite applies a WAL or journal that lies beside the file. So a child process reads the headers.
Each file is read once: its device and inode are remembered.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

_SMALLEST = 512
"""Bytes of the smallest page: a shorter file is no database."""
_READ = """
import sys
for name in sys.stdin.buffer.read().split(b"\\0"):
    try:
        with open(name, "rb") as file:
            known = file.read(16) == b"SQLite format 3\\0"
    except OSError:
        known = False
    sys.stdout.write("01"[known])
"""
_TIMEOUT = 60.0

_File = tuple[int, int]
_databases: dict[str, _File] = {}
_others: dict[str, tuple[_File, int, int]] = {}


def databases_among(paths: Iterable[str]) -> list[str]:
    """Return the paths that are SQLite databases, judged by their first bytes as in Litestream.

    Raises:
        ConfigurationError: The child process cannot be run.

    """
    found, doubtful = {}, {}
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:  # gone since it was listed, or a link that leads nowhere
            continue
        file = status.st_dev, status.st_ino
        if not stat.S_ISREG(status.st_mode) or status.st_size < _SMALLEST:
            found[path] = False
        elif _databases.get(path) == file:
            found[path] = True
        else:
            state = file, status.st_mtime_ns, status.st_size
            found[path] = False
            if _others.get(path) != state:
                doubtful[path] = state
    for path, known in _read(list(doubtful)):
        found[path] = known
        if known:
            _databases[path] = doubtful[path][0]
        else:
            _others[path] = doubtful[path]
    return [path for path, known in found.items() if known]


def _read(paths: list[str]) -> Iterable[tuple[str, bool]]:
    if not paths:
        return ()
    argv = [python(), "-I", "-S", "-c", _READ]
    names = b"\0".join(map(os.fsencode, paths))
    try:
        done = subprocess.run(argv, input=names, capture_output=True, timeout=_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(
            f"The files of a 'dir:' entry cannot be looked at with {argv[0]!r}: {error}"
        ) from error
    return zip(paths, (known == ord("1") for known in done.stdout), strict=True)


def python() -> str:
    """Return a Python interpreter; inside uWSGI, `sys.executable` may be something else."""
    name = os.path.basename(sys.executable or "").lower()
    if "python" in name or "pypy" in name:
        return sys.executable
    return os.path.join(sys.base_exec_prefix, "bin", "python3")
