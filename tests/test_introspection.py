"""The running daemon: asked over its socket, else found in the process table."""

from __future__ import annotations

import datetime
import os
import sys

import psutil
import pytest

import litestream
from litestream import commands, introspection
from tests.support import wait_until


def test_over_the_control_socket(make_site, series):
    if series == "0.3":
        pytest.skip("0.3 has no control socket")
    site = make_site(socket=True)
    site.start()
    found = litestream.replicate_process(config=site.config)
    assert found is not None
    assert (site.daemon.pid, "running") == (found["pid"], found["status"])
    assert_is_now(found["started"])
    assert found == litestream.replicate_process(socket=site.socket)


def test_in_the_process_table(site, monkeypatch):
    site.start()
    everything = psutil.process_iter

    def without_others(attributes):  # other tests run daemons at the same time
        for process in everything(attributes):
            is_daemon = process.info["name"] == "litestream"
            if not is_daemon or process.ppid() == os.getpid():
                yield process

    monkeypatch.setattr(psutil, "process_iter", without_others)
    found = wait_until(
        lambda: litestream.replicate_process(config=site.config), "the daemon in the table"
    )
    assert site.daemon.pid == found["pid"]
    assert_is_now(found["started"])


def test_none_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(psutil, "process_iter", lambda _attributes: iter(()))
    assert litestream.replicate_process(socket=tmp_path / "none") is None


def test_without_psutil(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(litestream.MissingExtraError, match=r"litestream\[process\]"):
        introspection.replicate_process(socket=tmp_path / "none")


def assert_is_now(moment: str) -> None:
    started = datetime.datetime.fromisoformat(moment.replace("Z", "+00:00"))
    age = datetime.datetime.now(datetime.timezone.utc) - started
    assert datetime.timedelta(seconds=-2) < age < datetime.timedelta(minutes=5)


def test_another_applications_daemon_is_not_taken_for_it(make_site, series):
    other = make_site("other", socket=True)
    other.start()
    site = make_site("own")
    assert litestream.replicate_process(config=site.config) is None
    site.start()
    found = litestream.replicate_process(config=site.config)
    assert found is not None
    assert site.daemon.pid == found["pid"]
    site.stop()
    assert litestream.replicate_process(config=site.config) is None


def test_a_stolen_socket_is_not_asked(make_site, monkeypatch, series):
    """A config without a socket of its own, and upstream's default path with a stranger at it."""
    if series == "0.3":
        pytest.skip("0.3 has no control socket")
    other = make_site("other", socket=True)
    other.start()
    site = make_site("own")
    monkeypatch.setattr("litestream._control_socket.find.DEFAULT_SOCKET", str(other.socket))
    with pytest.raises(litestream.ControlSocketError, match="another application's"):
        commands.info(config=site.config)
    assert litestream.replicate_process(config=site.config) is None
    assert commands.info(config=other.config)["pid"] == other.daemon.pid


@pytest.mark.parametrize("mapping", [True, False])
def test_the_daemon_of_a_replication_is_found(site, series, mapping):
    config = {site.database: f"file://{site.replica_path}"} if mapping else site.config
    with litestream.Replication(config) as replication:
        replication.sync()
        found = litestream.replicate_process(config=site.config)
        assert found is not None
        assert found == litestream.replicate_process(config=config)
        assert replication.pid == found["pid"]
        if series == "0.5":
            assert replication.pid == commands.info(config=site.config)["pid"]
            (row,) = commands.list(config=site.config)
            assert str(site.database) == row["path"]
            site.write()
            done = commands.sync(site.database, wait=True, config=site.config)
            assert done["replicated_txid"] >= done["txid"] > 1
            done = commands.sync(site.database, wait=True)  # without a config at all
            assert done["replicated_txid"] >= done["txid"] > 1
    assert litestream.replicate_process(config=site.config) is None
