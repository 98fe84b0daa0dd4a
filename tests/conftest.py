"""Fixtures: every test that asks for ``series`` runs on the real executables of both."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from litestream import _settings, configuration
from litestream._replication import keeper_process
from tests.support import S3_KEY, S3_SECRET, S3Server, Site, executable

# A shell's background job ignores these, and so would every child that a test interrupts.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(
            _number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL
        )


SERIES = ("0.3", "0.5")
FOREIGN = ("LITESTREAM_", "AWS_", "GOOGLE_", "AZURE_", "LOG_LEVEL")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on both series, or on the one that its marker ``only_series`` names."""
    if "series" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("only_series")
        metafunc.parametrize("series", marker.args if marker else SERIES)


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an empty directory, no settings and none of this machine's variables."""
    for name in os.environ:
        if name.upper().startswith(FOREIGN):
            monkeypatch.delenv(name)
    monkeypatch.setattr(_settings, "_settings", {})
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _measured_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let coverage into the keeper's process too, which it enters through ``site``."""
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        monkeypatch.setattr(keeper_process, "_OPTIONS", ("-I",))


@pytest.fixture
def installed(series: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the executable of the series the one that the library finds; return its path."""
    path = executable(series)
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(path.parent))
    return path


@pytest.fixture
def make_site(tmp_path: Path, series: str, installed: Path) -> Iterator[Callable[..., Site]]:
    """Return a function that makes a Site in a directory of its own (see Site)."""
    with contextlib.ExitStack() as stack:

        def make(directory: str = "site", **options: Any) -> Site:
            site = Site(tmp_path / directory, series, **options)
            stack.callback(site.close)
            return site

        yield make


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """Return a Site with a file replica, its daemon not started."""
    return make_site()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    """Return a function that gives one Site with a backup, by series: 0.5 takes a second for it."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def get(series: str) -> Site:
            site = Site(tmp_path_factory.mktemp("prepared"), series)
            stack.callback(site.close)
            site.write(10)
            site.back_up(snapshot=True)
            return site

        yield get


@pytest.fixture
def replicated(site: Site, prepared: Callable[[str], Site]) -> Site:
    """Return a Site whose ten rows are in its replica, its daemon stopped after a final sync."""
    site.take_over(prepared(site.series))
    return site


@pytest.fixture
def running(make_site: Callable[..., Site]) -> Site:
    """Return a Site with some rows, its daemon replicating; on 0.5 it answers on its socket."""
    site = make_site(socket=True)
    site.write(20)
    site.start()
    site.wait_for_backup()
    return site


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run a real S3 server for the session."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3Server) -> S3Server:
    """Return the S3 server, its keys given to ``litestream.configure``."""
    configuration.configure(replica_key_id=S3_KEY, replica_access_key=S3_SECRET)
    return s3_server


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Return an empty directory for the restored copies."""
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies"
