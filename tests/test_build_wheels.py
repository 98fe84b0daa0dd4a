"""`build_wheels.py build` and `check`: the release itself, and everything that can spoil one."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import build_wheels
import pytest
from wheels import check, pins

from tests.fake_executables import executable
from tests.wheelhouse import PINNED, built, version, wheel_name

pytestmark = pytest.mark.timeout(900)  # the first to ask for the wheels waits for their build

ROOT = Path(build_wheels.__file__).parent
PLATFORMS = list(pins.NATIVE.values())


@pytest.fixture(scope="session")
def dist(tmp_path_factory):
    return built(tmp_path_factory)


def write_vendor(vendor, **contents):
    """Make a vendor folder with small executables, already fetched."""
    shutil.copytree(pins.VENDOR / "licenses", vendor / "licenses")
    text = 'revision = 1\ndefault = "9.9"\n[series."9.9"]\nversion = "9.9.9"\n'
    for platform in PLATFORMS:
        content = contents.get(platform.replace("-", "_"), executable(platform))
        text += (
            f'[series."9.9".platforms.{platform}]\nasset = "x.zip"\nsize = {len(content)}\n'
            f'sha256 = "{hashlib.sha256(content).hexdigest()}"\n'
        )
        place = vendor / "9.9.9" / platform
        place.mkdir(parents=True)
        (place / "litestream").write_bytes(content)
    (vendor / "upstream.toml").write_text(text)
    return vendor


@pytest.fixture
def make_vendor(tmp_path):
    return lambda **contents: write_vendor(tmp_path / "vendor", **contents)


def run_build(vendor, out, *options):
    where = ["--vendor", str(vendor), "--releases", "http://127.0.0.1:9"]
    return build_wheels.main(["build", *where, "--out", str(out), *options])


# The real release.


def test_there_are_eight_wheels_and_one_sdist(dist):
    wheels = {wheel_name(pin.series, pin.platform) for pin in PINNED.all}

    assert 8 == len(wheels)
    assert wheels | {f"litestream-{version('0.5')}.tar.gz"} == {
        file.name for file in dist.iterdir()
    }


def test_every_check_of_a_release_passes(dist, capsys):
    assert 0 == build_wheels.main(["check", str(dist)])
    assert ("", "") == tuple(capsys.readouterr())


def test_the_files_are_those_of_the_written_lists(dist):
    for series in PINNED.series:
        for wheel in dist.glob(f"litestream-{version(series)}-*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                names = "\n".join(archive.namelist()).replace(version(series), "VERSION")
            written = (ROOT / "wheels/contents-wheel.txt").read_text().split()
            assert sorted(written) == sorted(names.split())
    with tarfile.open(dist / f"litestream-{version('0.5')}.tar.gz") as archive:
        names = "\n".join(archive.getnames()).replace(version("0.5"), "VERSION")
    assert sorted((ROOT / "wheels/contents-sdist.txt").read_text().split()) == sorted(names.split())


@pytest.mark.parametrize("pin", PINNED.all, ids=str)
def test_a_wheel_is_hardly_larger_than_litestream_bins(dist, pin):
    """Whose wheel is the same executable deflated at level 6, and some 1.4 kB."""
    foreign = len(zlib.compress(pin.path.read_bytes(), 6)) + 1400

    assert (dist / wheel_name(pin.series, pin.platform)).stat().st_size <= 1.05 * foreign


def test_another_build_of_the_same_commit_is_identical(dist, tmp_path):
    """Whoever builds, wherever and whenever: another user mask, zone, folder and hash seed."""
    out = tmp_path / "again"
    command = [sys.executable, str(ROOT / "build_wheels.py"), "build"]
    subprocess.run(
        [*command, "--platform", "native", "--out", str(out)],
        env={**os.environ, "TZ": "Pacific/Auckland", "PYTHONHASHSEED": "7", "LC_ALL": "C"},
        umask=0o077,
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )

    built_again = sorted(out.iterdir())
    assert 3 == len(built_again)
    for file in built_again:
        assert (dist / file.name).read_bytes() == file.read_bytes(), file.name


LINUX, MUSL = "manylinux2014_{}", "musllinux_1_1_{}"
PICKED = {
    LINUX.format("x86_64"): "linux-x86_64",
    LINUX.format("aarch64"): "linux-arm64",
    MUSL.format("x86_64"): "linux-x86_64",
    MUSL.format("aarch64"): "linux-arm64",
    "manylinux_2_17_x86_64": "linux-x86_64",
    "macosx_12_0_x86_64": "macos-x86_64",
    "macosx_12_0_arm64": "macos-arm64",
    "macosx_15_0_arm64": "macos-arm64",
    "win_amd64": None,
    "macosx_10_9_x86_64": None,
    "linux_armv7l": None,
}


PIP = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-index"]
PIP += ["--only-binary=:all:"]


def pip_picks(dist, tag, requirement, target):
    pip = subprocess.run(
        [
            *PIP,
            f"--find-links={dist}",
            f"--platform={tag}",
            f"--dest={target}",
            requirement,
        ],
        env={**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return [file.name for file in target.iterdir()] if pip.returncode == 0 else None


@pytest.mark.parametrize(("tag", "platform"), PICKED.items())
def test_pip_picks_the_wheel_of_the_platform(dist, tmp_path, tag, platform):
    for requirement, number in {"litestream": "0.5", "litestream==0.3.13.*": "0.3"}.items():
        expected = [wheel_name(number, platform)] if platform else None
        assert expected == pip_picks(dist, tag, requirement, tmp_path / number)


def test_the_bill_of_materials_names_release_digest_and_modules(dist):
    pin = PINNED.chosen("0.5", "macos-arm64")[0]
    with zipfile.ZipFile(dist / wheel_name("0.5", "macos-arm64")) as archive:
        info = f"litestream-{version('0.5')}.dist-info"
        sbom = json.loads(archive.read(f"{info}/sboms/litestream.cdx.json"))

    assert ("CycloneDX", "1.6") == (sbom["bomFormat"], sbom["specVersion"])
    assert f"pkg:pypi/litestream@{version('0.5')}" == sbom["metadata"]["component"]["purl"]
    litestream, *linked = sbom["components"]
    assert f"pkg:github/benbjohnson/litestream@v{pin.version}" == litestream["purl"]
    assert [{"alg": "SHA-256", "content": pin.sha256}] == litestream["hashes"]
    assert "pkg:golang/modernc.org/sqlite@v1.49.1" in {part["purl"] for part in linked}
    references = [part["bom-ref"] for part in sbom["components"]]
    assert len(references) == len(set(references))
    known = {sbom["metadata"]["component"]["bom-ref"], *references}
    for dependency in sbom["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= known


# What spoils a build.


def test_small_executables_build_a_release_that_passes(make_vendor, tmp_path, capsys):
    vendor = make_vendor()

    assert 0 == run_build(vendor, tmp_path / "dist")
    assert 0 == build_wheels.main(["check", str(tmp_path / "dist"), "--vendor", str(vendor)])
    assert "" == capsys.readouterr().err


def failed_build(vendor, out, capsys, *options):
    assert 1 == run_build(vendor, out, *options)
    assert [] == ([*out.iterdir()] if out.is_dir() else [])
    return capsys.readouterr().err


def test_an_old_setuptools_is_said_in_one_line(make_vendor, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "68.1.2")
    assert run_build(make_vendor(), tmp_path / "dist") != 0
    said = capsys.readouterr().err.strip()
    assert "setuptools 68.1.2 is too old (77 is needed): " in said
    assert "\n" not in said


def test_an_executable_of_another_machine_is_refused(make_vendor, tmp_path, capsys):
    vendor = make_vendor(linux_x86_64=executable("linux-arm64", text="!"))

    said = failed_build(vendor, tmp_path / "dist", capsys)
    assert "9.9.9/linux-x86_64/litestream is for linux-arm64, not for linux-x86_64" in said


def test_a_dynamic_executable_is_refused(make_vendor, tmp_path, capsys):
    vendor = make_vendor(linux_x86_64=executable("linux-x86_64", interpreter=True))

    assert "linked dynamically" in failed_build(vendor, tmp_path / "dist", capsys)


def test_nothing_vendored_and_no_network_is_said(make_vendor, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    vendor = make_vendor()
    (vendor / "9.9.9/macos-arm64/litestream").unlink()

    said = failed_build(vendor, tmp_path / "dist", capsys)
    assert "litestream 9.9.9 for macos-arm64 cannot be fetched" in said


def test_a_spoiled_executable_is_not_built_in(make_vendor, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    vendor = make_vendor()
    place = vendor / "9.9.9/macos-arm64/litestream"
    place.write_bytes(place.read_bytes()[::-1])

    said = failed_build(vendor, tmp_path / "dist", capsys)
    assert "litestream 9.9.9 for macos-arm64 cannot be fetched" in said


def test_an_unknown_licence_stops_the_build(make_vendor, tmp_path, capsys):
    modules = "dep\texample.org/new\tv1.0.0\n"
    vendor = make_vendor(linux_x86_64=executable("linux-x86_64", modules=modules))

    assert "the licence of the Go module example.org/new" in (
        failed_build(vendor, tmp_path / "dist", capsys)
    )


def test_a_folder_that_cannot_be_written_is_named(make_vendor, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "dist"

    said = failed_build(make_vendor(), out, capsys)
    assert f"build_wheels.py: {out}: Not a directory\n" == said


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv, of util-linux, drops the right")
def test_a_read_only_folder_is_named(make_vendor, tmp_path):
    """Without the right to overrule modes, for root has it."""
    vendor, out = make_vendor(), tmp_path / "dist"
    out.mkdir(mode=0o555)
    rights = "--bounding-set=-dac_override,-dac_read_search,-fowner"
    command = ["setpriv", rights, sys.executable, str(ROOT / "build_wheels.py"), "build"]
    if os.geteuid() != 0:
        command = command[2:]

    build = subprocess.run(
        [*command, "--vendor", str(vendor), "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 1 == build.returncode
    assert build.stderr.startswith(f"build_wheels.py: {out}/.build-")
    assert build.stderr.endswith(": Permission denied\n")
    assert [] == [*out.iterdir()]


def test_a_time_that_is_none_is_named(make_vendor, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")

    assert "SOURCE_DATE_EPOCH is 'yesterday'; it must be seconds" in (
        failed_build(make_vendor(), tmp_path / "dist", capsys)
    )


# What spoils a finished release: one wheel is changed, and the check must say so.


@pytest.fixture(scope="session")
def small_release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    assert 0 == run_build(write_vendor(folder / "vendor"), folder / "dist")
    return folder


@pytest.fixture
def release(small_release, tmp_path, monkeypatch):
    """A small release to spoil; the slow tools of others are left to the real one."""
    monkeypatch.setattr(check, "TOOLS", ())
    shutil.copytree(small_release / "dist", tmp_path / "dist")
    return small_release / "vendor", tmp_path / "dist"


def changed(wheel, change, name=None):
    """Write a wheel again: `change` gets and returns each entry with its content, or None."""
    with zipfile.ZipFile(wheel) as archive:
        entries = [(entry, archive.read(entry)) for entry in archive.infolist()]
    wheel.unlink()
    with zipfile.ZipFile(wheel.with_name(name or wheel.name), "w") as archive:
        for entry, content in entries:
            content = change(entry, content)
            if content is not None:
                archive.writestr(entry, content)


def replacing(suffix, old, new):
    def change(entry, content):
        assert not entry.filename.endswith(suffix) or old in content
        return content.replace(old, new) if entry.filename.endswith(suffix) else content

    return change


def without(suffix):
    return lambda entry, content: None if entry.filename.endswith(suffix) else content


def without_file_bit(entry, content):
    if entry.filename.endswith("bin/litestream"):
        entry.external_attr = 0o755 << 16
    return content


def renamed_inside(entry, content):
    if entry.filename.endswith("/errors.py"):
        entry.filename = "litestream/mistakes.py"
    return content


SPOILED = {
    "module": (replacing("/errors.py", b"import", b"Import"), "not the file that RECORD describes"),
    "executable": (replacing("bin/litestream", b"1.99.1", b"1.99.2"), "is not a pinned one"),
    "no executable": (without("bin/litestream"), "There is no item named"),
    "run bit": (without_file_bit, "litestream/bin/litestream has mode 755"),
    "missing": (without("/errors.py"), "litestream/errors.py is missing"),
    "renamed": (renamed_inside, "litestream/mistakes.py is not on the list"),
    "record": (replacing("/RECORD", b"litestream/errors.py", b"x.py"), "x.py is only in RECORD"),
    "tags": (replacing("/WHEEL", b"Tag: py3-none-musllinux_1_1_x86_64\n", b""), "WHEEL must list"),
    "purelib": (replacing("/WHEEL", b"lib: false", b"lib: true"), "Root-Is-Purelib: false"),
    "version": (replacing("/METADATA", b"Version: 9.9.9.1", b"Version: 9.9.9.2"), "METADATA says"),
    "licence": (replacing("/METADATA", b"License-File: LICENSE\n", b""), "License-File lines"),
    "note": (replacing("bin/litestream.version", b"9.9.9", b"9.9.8"), "litestream.version is not"),
    "bill": (replacing(".cdx.json", b'"version": "9.9.9"', b'"version": "9.9.8"'), "its bill of"),
    "no bill": (replacing(".cdx.json", b"{", b"["), "is damaged or not ours"),
}


@pytest.mark.parametrize(("change", "said"), SPOILED.values(), ids=SPOILED.keys())
def test_a_spoiled_wheel_does_not_pass(release, capsys, change, said):
    vendor, out = release
    changed(next(out.glob("*manylinux*x86_64*")), change)

    assert 1 == build_wheels.main(["check", str(out), "--vendor", str(vendor)])
    assert said in capsys.readouterr().err


def test_a_release_that_is_not_whole_does_not_pass(release, capsys):
    vendor, out = release
    wheel = next(out.glob("*manylinux*x86_64*"))
    changed(wheel, lambda entry, content: content, "litestream-9.9.9.1-py3-none-any.whl")
    mac = next(out.glob("*macosx*arm64*"))
    mac.write_bytes(mac.read_bytes()[:-100])
    (out / "notes.txt").write_text("")
    next(out.glob("*.tar.gz")).unlink()

    assert 1 == build_wheels.main(["check", str(out), "--vendor", str(vendor)])

    said = capsys.readouterr().err
    assert f"py3-none-any.whl: its executable makes it {wheel.name}" in said
    assert f"{mac.name}: it is damaged or not ours: File is not a zip file" in said
    assert "litestream 9.9.9 for macos-arm64: 0 wheels carry it, not one" in said
    assert "notes.txt is neither a wheel nor an sdist" in said
    assert "there must be one sdist, litestream-9.9.9.1.tar.gz" in said
    assert said.endswith(f"build_wheels.py: {out} cannot be released: 5 problems, named above\n")


def test_a_spoiled_sdist_does_not_pass(release, tmp_path, capsys):
    vendor, out = release
    (sdist,) = out.glob("*.tar.gz")
    with tarfile.open(sdist, "w:gz") as archive:
        (tmp_path / "secret.env").write_text("")
        archive.add(tmp_path / "secret.env", "litestream-9.9.9.1/secret.env")
        archive.add(ROOT / "wheels", "litestream-9.9.9.1/wheels", recursive=False)

    assert 1 == build_wheels.main(["check", str(out), "--vendor", str(vendor)])

    said = capsys.readouterr().err
    assert "litestream-9.9.9.1/secret.env is not on the list contents-sdist.txt" in said
    assert "litestream-9.9.9.1/setup.py is missing" in said
    assert "litestream-9.9.9.1/wheels is not a plain file" in said


def test_what_the_tools_of_others_find_is_passed_on(release, monkeypatch, capsys):
    monkeypatch.undo()
    vendor, out = release
    changed(
        next(out.glob("*manylinux*x86_64*")),
        replacing("/METADATA", b"Metadata-Version: 2.4", b"Metadata-Version: 99"),
    )

    assert 1 == build_wheels.main(["check", str(out), "--vendor", str(vendor)])
    assert "twine check --strict:" in capsys.readouterr().err
