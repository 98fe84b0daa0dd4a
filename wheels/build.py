"""Build the sdist, and one wheel per platform and series.

setuptools builds the sdist, and from the sdist one wheel without an executable per series; each
wheel for a platform is that one with the executable, its notices and its bill of materials put in.
Nothing depends on the clock, the user or the order of a folder: the same commit, the same bytes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from wheels import binary, notices, sbom
from wheels.pins import ROOT, Pin, WorkshopError

if TYPE_CHECKING:
    from collections.abc import Iterable

EXECUTABLE = "litestream/bin/litestream"
NOTE = f"{EXECUTABLE}.version"
MODES = {EXECUTABLE: 0o100755}  # with the file bit: without it, pip installs no run bit
MODE = 0o100644
LEVEL = 9  # of compression
HOOK = "import sys; from setuptools import build_meta as b; getattr(b, sys.argv[1])(sys.argv[2])"


def build(chosen: Iterable[Pin], out: Path, root: Path = ROOT) -> list[Path]:
    """Build the chosen wheels and the sdist; they appear in `out` when all are finished."""
    require_setuptools(root)
    chosen = list(chosen)
    checked = [(pin, inspected(pin)) for pin in chosen]  # before any work is done
    epoch = commit_time(root)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=out) as folder:
        temporary, finished = Path(folder), Path(folder, "finished")
        finished.mkdir()
        tree = _tracked_files(root, temporary / "tree")
        shutil.copy(chosen[0].vendor / "upstream.toml", tree / "vendor")  # it has the version
        sdist = _sdist(tree, finished, epoch)
        tree = _unpacked(sdist, temporary / "sdist")
        plain = {
            series: _plain_wheel(tree, temporary / f"wheel-{series}", series)
            for series in dict.fromkeys(pin.series for pin in chosen)
        }
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # zlib works outside the interpreter lock
            jobs = [
                pool.submit(assemble, plain[pin.series], pin, facts, finished, epoch)
                for pin, facts in checked
            ]
            built = [sdist, *(job.result() for job in jobs)]
        return [file.replace(out / file.name) for file in built]


def require_setuptools(root: Path) -> None:
    """Refuse a setuptools that is older than the one that pyproject.toml asks for."""
    wanted = re.search(r'"setuptools>=(\d+)"', (root / "pyproject.toml").read_text())
    try:
        found = metadata.version("setuptools")
    except metadata.PackageNotFoundError:
        found = "0"  # there is none
    if wanted and int(found.split(".")[0]) < int(wanted[1]):
        raise WorkshopError(
            f"setuptools {found} is too old ({wanted[1]} is needed): "
            f"{sys.executable} -m pip install 'setuptools>={wanted[1]}'"
        )


def inspected(pin: Pin) -> binary.Facts:
    """Look into a fetched executable; refuse one that is not what and where the pin says."""
    if not pin.is_fetched():
        raise WorkshopError(f"{pin} is not at {pin.path}: run build_wheels.py fetch")
    facts = binary.inspect(pin.path)
    if facts.platform != pin.platform:
        raise WorkshopError(f"{pin.path} is for {facts.platform}, not for {pin.platform}")
    return facts


def commit_time(root: Path) -> int:
    """Return SOURCE_DATE_EPOCH, else the time of the commit that is built."""
    if value := os.environ.get("SOURCE_DATE_EPOCH"):
        if not value.isdecimal():
            raise WorkshopError(f"SOURCE_DATE_EPOCH is {value!r}; it must be seconds since 1970")
        return int(value)
    return int(_git(root, "log", "-1", "--format=%ct"))


def _git(root: Path, *arguments: str) -> str:
    git = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
    )
    if git.returncode != 0:
        raise WorkshopError(
            f"wheels are built from a git checkout, and git says of {root}: {git.stderr.strip()}"
        )
    return git.stdout


def _tracked_files(root: Path, tree: Path) -> Path:
    """Copy what git tracks, as it is now: nothing else gets into a release by accident."""
    for name in _git(root, "ls-files", "-z").split("\0"):
        if name and (root / name).is_file():
            target = tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((root / name).read_bytes())
    return tree


def _setuptools(hook: str, tree: Path, out: Path, **environment: str) -> Path:
    out.mkdir(exist_ok=True)
    before = set(out.iterdir())
    run = subprocess.run(
        [sys.executable, "-c", HOOK, hook, str(out)],
        cwd=tree,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise WorkshopError(f"setuptools could not {hook.replace('_', ' a ')}:\n{run.stderr}")
    (built,) = set(out.iterdir()) - before
    return built


def _sdist(tree: Path, out: Path, epoch: int) -> Path:
    """Build the sdist and write it anew without times, users and modes of this machine."""
    sdist = _setuptools("build_sdist", tree, out)
    with tarfile.open(sdist) as old:
        files = {member.name: file.read() for member in old if (file := old.extractfile(member))}
    with (
        sdist.open("wb") as raw,
        gzip.GzipFile("", "wb", 9, raw, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(files[name]), epoch, 0o644
            new.addfile(member, io.BytesIO(files[name]))
    return sdist


def _unpacked(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = folder.iterdir()
    return tree


def _plain_wheel(tree: Path, out: Path, series: str) -> dict[str, bytes]:
    """Build the wheel without an executable; return its files."""
    with zipfile.ZipFile(
        _setuptools("build_wheel", tree, out, LITESTREAM_BUILD_SERIES=series)
    ) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}


def assemble(plain: dict[str, bytes], pin: Pin, facts: binary.Facts, out: Path, epoch: int) -> Path:
    """Write the wheel of one platform and series."""
    (info,) = {name.split("/")[0] for name in plain if ".dist-info/" in name}
    stem = info.removesuffix(".dist-info")
    inside = notices.components(pin, facts)
    added = {
        f"{info}/licenses/litestream/NOTICES.txt": notices.text(
            inside, pin.vendor / "licenses"
        ).encode(),
        f"{info}/sboms/litestream.cdx.json": sbom.sbom(pin, stem.split("-")[1], inside).encode(),
        f"{info}/WHEEL": _wheel_file(facts.tag),
        f"{info}/METADATA": _metadata(plain[f"{info}/METADATA"], notices.expression(inside)),
        EXECUTABLE: pin.path.read_bytes(),
        NOTE: note(pin),
    }
    files = {**plain, **added}
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    wheel = out / f"{stem}-py3-none-{facts.tag}.whl"
    _write_zip(wheel, files, epoch)
    return wheel


def note(pin: Pin) -> bytes:
    """Return what stands beside the executable: its version and its size."""
    return f"{pin.version} {pin.size}\n".encode()


def _wheel_file(tag: str) -> bytes:
    tags = "".join(f"Tag: py3-none-{platform}\n" for platform in tag.split("."))
    return (
        f"Wheel-Version: 1.0\nGenerator: build_wheels.py\nRoot-Is-Purelib: false\n{tags}".encode()
    )


def _metadata(metadata: bytes, expression: str) -> bytes:
    """Tell of the licences of what was put in, too."""
    changed, expressions = re.subn(
        rb"(?m)^License-Expression: MIT$", b"License-Expression: " + expression.encode(), metadata
    )
    changed, files = re.subn(
        rb"(?m)^License-File: LICENSE$", rb"\g<0>\nLicense-File: litestream/NOTICES.txt", changed
    )
    if (expressions, files) != (1, 1):
        raise WorkshopError(
            "the package's METADATA has no License-Expression: MIT with License-File: LICENSE; "
            "adapt wheels/build.py to what pyproject.toml says now"
        )
    return changed


def _record(files: dict[str, bytes], record: str) -> bytes:
    lines = []
    for name in _in_order(files):
        if name != record:
            digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=")
            lines.append(f"{name},sha256={digest.decode()},{len(files[name])}\n")
    return "".join([*lines, f"{record},,\n"]).encode()


def _in_order(files: Iterable[str]) -> list[str]:
    """Sort, the metadata last and RECORD at the very end, as the wheel format recommends."""
    return sorted(files, key=lambda name: (".dist-info/" in name, name.endswith("/RECORD"), name))


def _write_zip(wheel: Path, files: dict[str, bytes], epoch: int) -> None:
    moment = max(time.gmtime(epoch)[:6], (1980, 1, 1, 0, 0, 0))  # zip knows nothing older
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in _in_order(files):
            entry = zipfile.ZipInfo(name, moment)
            entry.create_system = 3  # Unix, whoever builds
            entry.external_attr = MODES.get(name, MODE) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name], compresslevel=LEVEL)
