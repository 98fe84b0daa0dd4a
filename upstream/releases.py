"""The executables to examine: pinned, fetched into vendor/, checked by SHA-256."""

from __future__ import annotations

import sys
from pathlib import Path

from wheels import fetch, pins

from upstream.lab import Release

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).with_name("releases.toml")


def pinned() -> dict[str, pins.Pin]:
    """Return the pin of each release for this machine, the oldest first."""
    platform = pins.native() or "linux-x86_64"
    found = {
        version: pins.Pin(
            series=".".join(version.split(".")[:2]),
            version=version,
            platform=name,
            asset=f"litestream-{version}-{name}.tar.gz",
            path=pins.VENDOR / version / name / "litestream",
            **pin,
        )
        for version, platforms in tomllib.loads(FILE.read_text()).items()
        for name, pin in platforms.items()
        if name == platform
    }
    found.update({pin.version: pin for pin in pins.read().chosen("all", platform)})
    return {version: found[version] for version in sorted(found, key=number)}


def number(version: str) -> tuple[int, ...]:
    """Return a version to be compared."""
    return tuple(int(part) for part in version.split("-")[0].split("."))


def release(version: str) -> Release:
    """Return a release, its executable fetched."""
    known = pinned()
    if version not in known:
        raise pins.WorkshopError(
            f"Litestream {version} is not pinned for this machine. Pin a new release with "
            f"'python build_wheels.py pin {version}'; pinned are: {', '.join(known)}"
        )
    fetch.fetch([known[version]])
    if version not in tomllib.loads(FILE.read_text()):  # it stays here when the next is pinned
        pin = known[version]
        with FILE.open("a") as file:
            file.write(f'\n["{version}".{pin.platform}]\n')
            file.write(f'size = {pin.size}\nsha256 = "{pin.sha256}"\n')
    return Release(version, known[version].path)
