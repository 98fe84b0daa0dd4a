"""The release that the tests look at, built once for all of pytest's workers."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import build_wheels
from wheels import pins

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PINNED = pins.read()
ARCHES = {"x86_64": "x86_64", "arm64": "aarch64"}


def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the eight real wheels and the sdist."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # shared by the workers of one run
    dist = folder / "dist"
    with (folder / "dist.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not dist.exists():
            assert build_wheels.main(["build", "--out", str(dist)]) == 0
    return dist


def version(series: str) -> str:
    """Return the package's version of a series."""
    (number,) = {pin.version for pin in PINNED.all if pin.series == series}
    return f"{number}.{PINNED.revision}"


def wheel_name(series: str, platform: str | None = None) -> str:
    """Return the file name that a wheel must have, of this platform when none is named."""
    platform = platform or pins.native()
    assert platform is not None
    system, machine = platform.split("-")
    arch = ARCHES[machine]
    tag = f"manylinux_2_17_{arch}.manylinux2014_{arch}.musllinux_1_1_{arch}"
    if system == "macos":
        oldest = {"0.3": "11_0", "0.5": "12_0"}[series]
        tag = f"macosx_{oldest}_{machine}"
    return f"litestream-{version(series)}-py3-none-{tag}.whl"
