"""Find the Litestream executable."""

from __future__ import annotations

import os
import sys

from litestream.errors import (
    DirectoryNotFoundError,
    ExecutableError,
    ExecutableNotFoundError,
    UnsupportedPlatformError,
)

NAME = "litestream"
BUNDLED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin", NAME)


def find() -> str:
    """Return the absolute path of the executable.

    The places are ``LITESTREAM_INSTALL_DIR``, then this package, then ``PATH``. If
    ``LITESTREAM_INSTALL_DIR`` is set, no other place is searched: a wrong value is an error, never
    a silent change of the executable.

    Raises:
        DirectoryNotFoundError: ``LITESTREAM_INSTALL_DIR`` names no directory.
        ExecutableNotFoundError: there is none; the message lists the places tried.
        UnsupportedPlatformError: there is none, and Litestream has no release for this system.
        ExecutableError: there is one, but it may not be run.

    """
    directory = os.environ.get("LITESTREAM_INSTALL_DIR")
    if directory:  # empty is unset, as for LITESTREAM_CONFIG
        return _in_install_dir(directory)
    if os.path.isfile(BUNDLED):
        return _runnable(BUNDLED)
    on_path = _on_path()
    if on_path is not None:
        return on_path
    raise _not_found()


def _in_install_dir(directory: str) -> str:
    if not os.path.isdir(directory):
        raise DirectoryNotFoundError(
            f"LITESTREAM_INSTALL_DIR is {directory!r}, which is not a directory. Set it to the "
            "directory that holds the litestream executable, or unset it"
        )
    path = os.path.join(os.path.abspath(directory), NAME)
    if not os.path.isfile(path):
        raise ExecutableNotFoundError(
            f"LITESTREAM_INSTALL_DIR is {directory!r}, and there is no file {path!r}. Set it to "
            "the directory that holds the litestream executable, or unset it"
        )
    return _runnable(path)


def _runnable(path: str) -> str:
    if not os.access(path, os.X_OK):
        raise ExecutableError(
            f"{path!r} cannot be run: it lacks the execute permission. Add it: chmod +x"
        )
    return path


def _on_path() -> str | None:
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(os.path.abspath(directory), NAME)
        if os.path.isfile(path) and os.access(path, os.X_OK) and not _is_own_script(path):
            return path
    return None


def _is_own_script(path: str) -> bool:
    """Tell whether a file is this package's own script, which would run itself for ever."""
    with open(path, "rb") as file:
        start = file.read(4096)
    return start.startswith(b"#!") and b"litestream.cli" in start


def _not_found() -> ExecutableError:
    import platform

    system, machine = platform.system(), platform.machine()
    tried = "Neither this package, nor PATH has one, and LITESTREAM_INSTALL_DIR is not set"
    own = "put one of your own on PATH, or its directory into LITESTREAM_INSTALL_DIR"
    supported = system in ("Linux", "Darwin") and machine in ("x86_64", "arm64", "aarch64")
    if not supported:
        return UnsupportedPlatformError(
            f"There is no Litestream executable for {system} {machine} in this package, which has "
            f"those for Linux and macOS on x86_64 and arm64. {tried}: {own}"
        )
    install = f"{os.path.basename(sys.executable)} -m pip install --only-binary :all: litestream"
    return ExecutableNotFoundError(
        f"No Litestream executable was found. {tried}. Install one ({install}; in a checkout: "
        f"python build_wheels.py fetch), or {own}"
    )
