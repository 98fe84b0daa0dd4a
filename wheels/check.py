"""Check a folder of finished wheels and the sdist: every promise of a release, before it is one."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email.parser import BytesParser
from pathlib import Path
from typing import TYPE_CHECKING

from wheels import binary
from wheels.build import EXECUTABLE, MODE, MODES, NOTE, note
from wheels.fetch import DAMAGED
from wheels.pins import WorkshopError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wheels.pins import Pin, Pins

CONTENTS = Path(__file__).parent
TOOLS = (["twine", "check", "--strict"], ["check_wheel_contents"])


def check(dist: Path, pinned: Pins) -> None:
    """Check everything; print each problem, and raise if there was one."""
    problems = list(_problems(dist, pinned))
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise WorkshopError(f"{dist} cannot be released: {len(problems)} problems, named above")


def _problems(dist: Path, pinned: Pins) -> Iterator[str]:
    wheels, sdists = sorted(dist.glob("*.whl")), sorted(dist.glob("*.tar.gz"))
    for file in sorted(set(dist.iterdir()) - {*wheels, *sdists}):
        yield f"{file.name} is neither a wheel nor an sdist"
    seen: list[Pin] = []
    for wheel in wheels:
        for problem in _problems_of_wheel(wheel, pinned, seen):
            yield f"{wheel.name}: {problem}"
    for pin in pinned.all:
        if seen.count(pin) != 1:
            yield f"{pin}: {seen.count(pin)} wheels carry it, not one"
    (default,) = {pin.version for pin in pinned.all if pin.series == pinned.default}
    stem = f"litestream-{default}.{pinned.revision}"
    if [file.name for file in sdists] != [f"{stem}.tar.gz"]:
        yield f"there must be one sdist, {stem}.tar.gz"
    for sdist in sdists:
        for problem in _problems_of_sdist(sdist, stem):
            yield f"{sdist.name}: {problem}"
    for tool in TOOLS:
        yield from _problems_said_by(tool, [*wheels, *(sdists if tool[0] == "twine" else [])])


def _problems_of_wheel(wheel: Path, pinned: Pins, seen: list[Pin]) -> Iterator[str]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            pin = _pin_inside(archive, pinned)
            seen.append(pin)
            yield from _problems_in_wheel(archive, pin, pinned)
    except (*DAMAGED, KeyError, WorkshopError) as error:
        yield f"it is damaged or not ours: {error}"


def _pin_inside(archive: zipfile.ZipFile, pinned: Pins) -> Pin:
    digest = hashlib.sha256(archive.read(EXECUTABLE)).hexdigest()
    for pin in pinned.all:
        if pin.sha256 == digest:
            return pin
    raise WorkshopError(f"its executable, SHA-256 {digest}, is not a pinned one")


def _problems_in_wheel(archive: zipfile.ZipFile, pin: Pin, pinned: Pins) -> Iterator[str]:
    version = f"{pin.version}.{pinned.revision}"
    info = f"litestream-{version}.dist-info"
    with tempfile.TemporaryDirectory() as folder:
        tag = binary.inspect(Path(archive.extract(EXECUTABLE, folder))).tag
    if Path(str(archive.filename)).name != f"litestream-{version}-py3-none-{tag}.whl":
        yield f"its executable makes it litestream-{version}-py3-none-{tag}.whl"
    yield from _difference(archive.namelist(), "wheel", version)
    for entry in archive.infolist():
        if entry.external_attr >> 16 != MODES.get(entry.filename, MODE):
            yield f"{entry.filename} has mode {entry.external_attr >> 16:o}"
    yield from _problems_of_record(archive, f"{info}/RECORD")
    wheel = archive.read(f"{info}/WHEEL").decode().splitlines()
    tags = [f"Tag: py3-none-{platform}" for platform in tag.split(".")]
    if [line for line in wheel if line.startswith("Tag:")] != tags:
        yield f"WHEEL must list {', '.join(tags)}"
    if "Root-Is-Purelib: false" not in wheel:
        yield "WHEEL must say Root-Is-Purelib: false"
    metadata = BytesParser().parsebytes(archive.read(f"{info}/METADATA"))
    if metadata["Version"] != version:
        yield f"METADATA says version {metadata['Version']}, not {version}"
    licenses = {f"{info}/licenses/{name}" for name in metadata.get_all("License-File", [])}
    if licenses != {name for name in archive.namelist() if name.startswith(f"{info}/licenses/")}:
        yield "METADATA's License-File lines are not the files in licenses/"
    if archive.read(NOTE) != note(pin):
        yield f"{NOTE} is not that of {pin}"
    sbom = json.loads(archive.read(f"{info}/sboms/litestream.cdx.json"))["components"][0]
    if (sbom["version"], sbom["hashes"][0]["content"]) != (pin.version, pin.sha256):
        yield f"its bill of materials is not that of {pin}"


def _problems_of_record(archive: zipfile.ZipFile, record: str) -> Iterator[str]:
    rows = {row[0]: row[1:] for row in csv.reader(archive.read(record).decode().splitlines())}
    for name in sorted(rows.keys() ^ set(archive.namelist())):
        yield f"{name} is only in {'RECORD' if name in rows else 'the archive'}"
    for name in rows.keys() & set(archive.namelist()) - {record}:
        content = archive.read(name)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        if rows[name] != [f"sha256={digest}", str(len(content))]:
            yield f"{name} is not the file that RECORD describes"


def _problems_of_sdist(sdist: Path, stem: str) -> Iterator[str]:
    try:
        with tarfile.open(sdist) as archive:
            members = archive.getmembers()
    except (*DAMAGED, OSError) as error:
        yield str(error)
        return
    names = [member.name for member in members]
    yield from _difference(names, "sdist", stem.removeprefix("litestream-"))
    for member in members:
        if not member.isreg() or member.mode != 0o644 or member.uid or member.gid:
            yield f"{member.name} is not a plain file of nobody in particular"


def _difference(names: list[str], kind: str, version: str) -> Iterator[str]:
    """Compare with the written list: what a release holds is decided, never happens."""
    written = CONTENTS / f"contents-{kind}.txt"
    expected = written.read_text("utf-8").replace("VERSION", version).split()
    for name in sorted(set(names) - set(expected)):
        yield f"{name} is not on the list {written.name}; add it there if it belongs"
    for name in sorted(set(expected) - set(names)):
        yield f"{name} is missing; take it off the list {written.name} if it went on purpose"
    if len(names) != len(set(names)):
        yield "it holds a file twice"


def _problems_said_by(tool: list[str], files: list[Path]) -> Iterator[str]:
    said = subprocess.run(
        [sys.executable, "-m", *tool, *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode != 0:
        yield f"{' '.join(tool)}:\n{said.stdout}{said.stderr}"
