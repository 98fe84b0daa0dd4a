"""The version and the series of an executable."""

from __future__ import annotations

from contextlib import closing

import pytest
from wheels import pins

import litestream
from litestream import commands
from litestream._executable import find
from litestream._executable.series import asked, noted, version
from litestream._executable.series import series as series_of
from tests.executable.test_find import put
from tests.support import executable


def other_architecture() -> bytes:
    """Return the start of a real ELF or Mach-O header of the processor that this one is not."""
    header = bytearray(executable("0.5").read_bytes()[:4096])
    place, other = (18, {62: 183, 183: 62}) if header[:4] == b"\x7fELF" else (4, {7: 12, 12: 7})
    header[place] = other[header[place]]
    return bytes(header)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (other_architecture, "another processor"),
        (lambda: b"", "not a program for this system"),
        (lambda: b"\x00\x01\x02 garbage", "not a program for this system"),
        (lambda: b"#!/no/such/interpreter\n", "interpreter"),
        (lambda: b"#!/bin/sh\necho something else\n", "is not Litestream"),
        (lambda: b"#!/bin/sh\nprintf '\\377\\376'\n", "is not Litestream"),
        (lambda: b"#!/bin/sh\necho 1.0.0\n", "knows the series"),
        (lambda: b"#!/bin/sh\necho 0.5.11\n", "has no JSON output"),
    ],
    ids=["processor", "empty", "garbage", "interpreter", "program", "bytes", "series", "old"],
)
def test_an_executable_that_is_none(tmp_path, monkeypatch, content, message):
    put(tmp_path / "bin", content())
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path / "bin"))
    (tmp_path / "litestream.yml").write_text("dbs: []")
    with pytest.raises(litestream.ExecutableError, match=message):
        commands.databases()


def test_the_version_is_asked_once_per_file(tmp_path, monkeypatch):
    path = put(tmp_path / "bin", f"#!/bin/sh\necho >> {tmp_path}/asked\necho v0.3.13\n")
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(path.parent))
    assert ["0.3", "0.3", "0.3"] == [series_of() for _ in range(3)]
    assert "\n" == (tmp_path / "asked").read_text()
    put(path.parent, "#!/bin/sh\necho 0.5.17\n")
    assert "0.5" == series_of()


class TestNoted:
    """A wheel notes the version of its executable, which then need not be started."""

    @pytest.fixture
    def bundled(self, tmp_path, monkeypatch):
        path = put(tmp_path / "package", f"#!/bin/sh\necho >> {tmp_path}/asked\necho v0.3.13\n")
        monkeypatch.setattr(find, "BUNDLED", str(path))
        monkeypatch.delenv("LITESTREAM_INSTALL_DIR", raising=False)
        (tmp_path / "package/litestream.version").write_text(f"0.5.17 {path.stat().st_size}\n")
        return path

    def test_the_packages_own_executable_is_not_asked(self, bundled, tmp_path):
        assert "0.5.17" == noted(str(bundled)) == asked(find.find())()
        assert not (tmp_path / "asked").exists()

    def test_a_replaced_executable_is_asked(self, bundled, tmp_path):
        bundled.write_text(bundled.read_text() + "# another one\n")
        assert "" == noted(str(bundled))
        assert "0.3.13" == asked(find.find())()
        assert (tmp_path / "asked").exists()

    def test_the_users_own_executable_is_asked(self, bundled, tmp_path, monkeypatch):
        own = put(tmp_path / "own", "#!/bin/sh\necho v0.3.12\n")
        note = f"0.5.17 {own.stat().st_size}\n"
        own.with_name("litestream.version").write_text(note)  # beside it, and nobody's business
        monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(own.parent))
        assert "0.3.12" == asked(find.find())()
        monkeypatch.delenv("LITESTREAM_INSTALL_DIR")
        monkeypatch.setenv("PATH", str(own.parent))
        monkeypatch.setattr(find, "BUNDLED", str(tmp_path / "none"))
        assert "0.3.12" == asked(find.find())()

    @pytest.mark.parametrize("note", [None, b"", b"0.5.17", b"\xff 1", b"0.5.17 1"])
    def test_without_a_note_that_fits_it_is_asked(self, bundled, note):
        beside = bundled.with_name("litestream.version")
        beside.unlink()
        if note is not None:
            beside.write_bytes(note)
        assert "0.3.13" == asked(find.find())()

    def test_what_runs_it_asks_it(self, bundled):
        assert "0.3.13" == version(str(bundled))


def test_the_vendored_executables_are_those_that_are_pinned():
    for series in ("0.3", "0.5"):
        (pin,) = pins.read().chosen(series, "native")
        assert pin.version == version(str(pin.path))


@pytest.mark.parametrize("release", ["0.5.12", "0.5.15"])
def test_a_release_whose_local_files_are_others_is_refused_where_they_are_read(
    tmp_path, monkeypatch, release
):
    put(tmp_path / "bin", f"#!/bin/sh\necho {release}\n")
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path / "bin"))
    database = tmp_path / "app.db"
    with closing(litestream.connect(database)) as connection:
        connection.execute("CREATE TABLE items (value)")
    config = {str(database): f"file://{tmp_path}/replica"}
    for call in (
        lambda: litestream.verify(database, config=config),
        lambda: litestream.sync(database, config=config),
        lambda: litestream.Replication(config).start(),
    ):
        with pytest.raises(litestream.ExecutableError, match="nothing can be proved"):
            call()
    assert series_of() == "0.5"
