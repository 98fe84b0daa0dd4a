"""The pinned upstream releases, read from vendor/upstream.toml."""

from __future__ import annotations

import hashlib
import platform as this_machine
import sys
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "vendor"

NATIVE = {
    ("Linux", "x86_64"): "linux-x86_64",
    ("Linux", "aarch64"): "linux-arm64",
    ("Darwin", "x86_64"): "macos-x86_64",
    ("Darwin", "arm64"): "macos-arm64",
}


class WorkshopError(Exception):
    """Something a person must know and can act on; printed without a traceback."""


@dataclass(frozen=True)
class Pin:
    """One executable of one upstream release, and what it must be, byte by byte."""

    series: str
    version: str
    platform: str
    asset: str
    size: int
    sha256: str
    path: Path  # where it is, or will be, in vendor/

    def __str__(self) -> str:
        return f"litestream {self.version} for {self.platform}"

    @property
    def vendor(self) -> Path:
        """The folder of upstream.toml, licenses/ and the executables."""
        return self.path.parents[2]

    def is_fetched(self) -> bool:
        """Tell whether the pinned executable, and nothing else, is in its place."""
        fits = self.path.is_file() and self.path.stat().st_size == self.size
        return fits and sha256(self.path) == self.sha256


@dataclass(frozen=True)
class Pins:
    """Everything that upstream.toml says."""

    revision: int
    default: str
    all: tuple[Pin, ...]

    @property
    def series(self) -> list[str]:
        """The series, as they stand in the file."""
        return list(dict.fromkeys(pin.series for pin in self.all))

    def chosen(self, series: str, platform: str) -> list[Pin]:
        """Return the pins of one series or `all`, for one platform, `native` or `all`."""
        if platform == "native":
            platform = native() or f"{this_machine.system()} {this_machine.machine()}"
        chosen = [
            pin
            for pin in self.all
            if series in (pin.series, "all") and platform in (pin.platform, "all")
        ]
        if not chosen:
            there = ", ".join(f"{pin.series} {pin.platform}" for pin in self.all)
            raise WorkshopError(
                f"no release is pinned for series {series!r} and platform {platform!r}; "
                f"pinned are: {there}"
            )
        return chosen


def read(vendor: Path = VENDOR) -> Pins:
    """Read `upstream.toml` of a vendor folder."""
    file = vendor / "upstream.toml"
    try:
        content = tomllib.loads(file.read_text("utf-8"))
        pins = tuple(
            Pin(
                series=series,
                version=release["version"],
                platform=platform,
                path=vendor / release["version"] / platform / "litestream",
                **pin,
            )
            for series, release in content["series"].items()
            for platform, pin in release["platforms"].items()
        )
        return Pins(content["revision"], content["default"], pins)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise WorkshopError(f"{file} is not a list of pins ({error}); restore it") from error


def native() -> str | None:
    """Return the name of the platform that this Python runs on, if upstream serves it."""
    return NATIVE.get((this_machine.system(), this_machine.machine()))


def sha256(file: Path) -> str:
    """Return the digest of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
