"""The version and the series of the executable.

``run`` and ``threading`` are imported when an executable is asked: a check of a config that need
not ask takes less than they cost.
"""

from __future__ import annotations

import functools
import os
import re
from typing import TYPE_CHECKING

from litestream._executable import find
from litestream._executable.find import find as find_executable
from litestream._executable.traps import WITH_OTHER_FILES, WITHOUT_JSON, is_among
from litestream.errors import ExecutableError, LitestreamError, UnsupportedCommandError

if TYPE_CHECKING:
    from collections.abc import Callable

_VERSION_TIMEOUT = 30.0


@functools.cache
def _version_of(path: str, _size: int, _mtime_ns: int, _inode: int) -> str:
    from litestream._executable import run

    output = run.run([path, "version"], timeout=_VERSION_TIMEOUT)
    match = re.fullmatch(r"v?(\d+\.\d+(?:\.\d+)?\S*)", output.stdout.strip())
    if match is None:
        raise ExecutableError(
            f"{path!r} is not Litestream: its 'version' printed {output.stdout[:80]!r}. Put "
            "Litestream there, or unset LITESTREAM_INSTALL_DIR"
        )
    return match[1]


def version(executable: str) -> str:
    """Return the version of an executable, such as ``"0.5.17"``; run once for each file."""
    stat = os.stat(executable)
    return _version_of(executable, stat.st_size, stat.st_mtime_ns, stat.st_ino)


def noted(executable: str) -> str:
    """Return the version that a wheel notes beside its executable, without running that.

    Empty for every other executable, and for one of another size than the note's: it was replaced.
    """
    if executable != find.BUNDLED:
        return ""
    try:
        with open(f"{executable}.version", encoding="ascii") as file:
            number, _, size = file.read(100).strip().partition(" ")
    except (OSError, ValueError):
        return ""
    return number if size == str(os.stat(executable).st_size) else ""


def asked(executable: str) -> Callable[[], str]:
    """Ask an executable for its version; return a function that waits for the answer.

    The package's own executable is not asked if its version is noted beside it.
    """
    if number := noted(executable):
        return lambda: number
    import threading
    from contextlib import suppress

    def ask() -> None:
        with suppress(LitestreamError):  # `answer` raises it
            version(executable)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()

    def answer() -> str:
        thread.join()
        return version(executable)

    return answer


def series(executable: str | None = None) -> str:
    """Return ``"0.3"`` or ``"0.5"``: the release series of the executable.

    Raises:
        ExecutableError: It is of another series, or of 0.5 and older than 0.5.12.

    """
    path = executable or find_executable()
    number = version(path)
    major_minor = ".".join(number.split(".")[:2])
    if major_minor not in ("0.3", "0.5"):
        raise ExecutableError(
            f"{path!r} is Litestream {number}; this library knows the series 0.3 and 0.5"
        )
    if is_among(number, WITHOUT_JSON):
        raise ExecutableError(
            f"{path!r} is Litestream {number}, which has no JSON output. This library needs that "
            "output, which 0.5.12 and newer have. Put a newer Litestream there, or unset "
            "LITESTREAM_INSTALL_DIR to run this package's own"
        )
    return major_minor


def require_series(wanted: str, what: str) -> None:
    """Raise UnsupportedCommandError unless the executable is of the series ``wanted``."""
    executable = find_executable()
    if series(executable) != wanted:
        raise UnsupportedCommandError(
            f"{what} needs Litestream {wanted}; the executable is {version(executable)}. "
            f"Install the other series with: pip install 'litestream=={wanted}.*'"
        )


def require_known_files() -> None:
    """Raise ExecutableError where this library cannot read what the daemon has copied."""
    path = find_executable()
    number = version(path)
    if is_among(number, WITH_OTHER_FILES):
        raise ExecutableError(
            f"{path!r} is Litestream {number}. It lists and restores, but nothing can be proved, "
            "synced or supervised with it: this library reads the local LTX files of 0.5.16 and "
            "newer. Put a newer Litestream there, or unset LITESTREAM_INSTALL_DIR"
        )
