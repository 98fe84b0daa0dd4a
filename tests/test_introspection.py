"""The running daemon: asked over its socket, else found in the process table."""

from __future__ import annotations

import datetime
import os
import sys

import psutil
import pytest

import litestream
from litestream import introspection
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
