"""Pin a new upstream release: take its executables once, look into them, write upstream.toml."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from wheels import binary, notices
from wheels.fetch import Sources
from wheels.pins import Pin, Pins, WorkshopError, sha256

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 1 << 29  # bytes; no executable of upstream's comes near

HEADER = """\
# The upstream releases that this package carries, and what their executables must be, byte by byte.
# `python build_wheels.py pin VERSION` rewrites it; sizes and digests are those of the executable
# itself, so it does not matter who served it, or in which archive.

# Ours: one more with every release, so version 0.5.17.3 is our third, on upstream's 0.5.17.
revision = {revision}

# The series of the sdist, of a checkout, and of `fetch` when none is named.
default = "{default}"
"""


def pin(version: str, pinned: Pins, vendor: Path, releases: str) -> None:
    """Replace the series of `version` in upstream.toml, or add it, and raise the revision."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise WorkshopError(f"{version!r} is no upstream version; it has the form 0.5.18")
    series = version.rpartition(".")[0]
    alike = series if series in pinned.series else pinned.series[-1]
    older = [pin for pin in pinned.all if pin.series == alike]
    if version in {pin.version for pin in pinned.all}:
        raise WorkshopError(f"{version} is pinned already")
    sources = Sources(releases)
    newer = [_newer(old, series, version, sources) for old in older]
    kept = [pin for pin in pinned.all if pin.series != series]
    text = render(Pins(pinned.revision + 1, pinned.default, (*kept, *newer)))
    (vendor / "upstream.toml").write_text(text, "utf-8")


def _newer(old: Pin, series: str, version: str, sources: Sources) -> Pin:
    """Download one executable and measure it; its licences must be known."""
    new = dataclasses.replace(
        old, series=series, version=version, asset=old.asset.replace(old.version, version)
    )
    with sources.executable(new, LIMIT) as executable:
        facts = binary.inspect(executable)
        if facts.platform != new.platform:
            raise WorkshopError(f"{new.asset} is for {facts.platform}, not for {new.platform}")
        notices.components(new, facts)
        size, digest = executable.stat().st_size, sha256(executable)
    return dataclasses.replace(new, size=size, sha256=digest)


def render(pinned: Pins) -> str:
    """Write upstream.toml; reading it again gives the same pins."""
    parts = [HEADER.format(revision=pinned.revision, default=pinned.default)]
    for series in sorted(pinned.series, key=lambda name: [int(part) for part in name.split(".")]):
        of_series = [pin for pin in pinned.all if pin.series == series]
        parts.append(f'[series."{series}"]\nversion = "{of_series[0].version}"\n')
        parts += [
            f'[series."{series}".platforms.{pin.platform}]\n'
            f'asset = "{pin.asset}"\nsize = {pin.size}\nsha256 = "{pin.sha256}"\n'
            for pin in of_series
        ]
    return "\n".join(parts)
