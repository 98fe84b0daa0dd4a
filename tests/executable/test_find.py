"""Finding the executable: the order of the places, and an error for everything that is wrong."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import pytest

import litestream
from litestream import commands
from litestream._executable import find
from tests.support import executable


@pytest.fixture
def bundled(tmp_path, monkeypatch) -> Path:
    """Let the package's own executable be a file of this test."""
    path = Path(tmp_path, "package", "bin", "litestream")
    path.parent.mkdir(parents=True)
    shutil.copy(executable("0.5"), path)
    monkeypatch.setattr(find, "BUNDLED", str(path))
    return path


@pytest.fixture
def not_bundled(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(find, "BUNDLED", str(tmp_path / "package" / "bin" / "litestream"))


def put(directory: Path, content: str | bytes, mode: int = 0o755) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "litestream"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def test_the_install_dir_comes_first(bundled, monkeypatch):
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(executable("0.3").parent))
    assert str(executable("0.3")) == find.find()


def test_the_install_dir_may_be_relative(tmp_path, monkeypatch):
    shutil.copytree(executable("0.3").parent, tmp_path / "local" / "bin")
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", "local/bin")
    assert str(tmp_path / "local" / "bin" / "litestream") == find.find()
    assert "0.3.13" == commands.version()


def test_the_package_comes_before_path(bundled, monkeypatch):
    monkeypatch.setenv("PATH", str(executable("0.3").parent))
    assert str(bundled) == find.find()


def test_path_comes_last(not_bundled, monkeypatch):
    monkeypatch.setenv("PATH", f"/nowhere{os.pathsep}{executable('0.3').parent}")
    assert str(executable("0.3")) == find.find()


def test_this_packages_own_script_on_path_is_passed_over(not_bundled, tmp_path, monkeypatch):
    own = put(tmp_path / "venv", "#!/usr/bin/python\nfrom litestream.cli import main\nmain()\n")
    monkeypatch.setenv("PATH", f"{own.parent}{os.pathsep}{executable('0.3').parent}")
    assert str(executable("0.3")) == find.find()
    monkeypatch.setenv("PATH", str(own.parent))
    with pytest.raises(litestream.ExecutableNotFoundError):
        find.find()


def test_a_missing_install_dir(bundled, monkeypatch):
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", "no/such/dir")
    with pytest.raises(litestream.DirectoryNotFoundError, match="no/such/dir"):
        find.find()


def test_an_install_dir_that_is_set_to_nothing_is_none(bundled, monkeypatch):
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", "")
    assert find.find() == str(bundled)


def test_an_empty_install_dir(bundled, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path / "empty"))
    with pytest.raises(litestream.ExecutableNotFoundError, match="there is no file"):
        find.find()


def test_a_file_without_its_run_bit(tmp_path, monkeypatch):
    put(tmp_path / "bin", b"\x7fELF", mode=0o644)
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path / "bin"))
    with pytest.raises(litestream.ExecutableError, match=r"chmod \+x"):
        find.find()


def test_none_at_all_names_every_place_and_what_to_do(not_bundled, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(litestream.ExecutableNotFoundError) as caught:
        find.find()
    for place in ("LITESTREAM_INSTALL_DIR", "this package", "PATH"):
        assert place in str(caught.value)
    assert "-m pip install --only-binary :all: litestream" in str(caught.value)
    assert len(str(caught.value)) < 320


@pytest.mark.parametrize("system", [("Windows", "AMD64"), ("Linux", "riscv64")])
def test_an_unsupported_platform_is_said_to_be_that(not_bundled, monkeypatch, system):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(platform, "system", lambda: system[0])
    monkeypatch.setattr(platform, "machine", lambda: system[1])
    with pytest.raises(litestream.UnsupportedPlatformError, match=" ".join(system)):
        find.find()
