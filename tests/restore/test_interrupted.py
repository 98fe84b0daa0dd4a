"""A restore that hangs, is interrupted or killed."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

import litestream
from litestream import commands, configuration
from litestream._executable import run as executable_run
from tests.restore.test_restore import listing, restore
from tests.support import wait_until


@pytest.fixture
def silent_endpoint():
    """Return a port that takes connections and never answers."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def silent(make_site, port: int):
    replica = {
        "type": "s3", "bucket": "b", "path": "app", "region": "us-east-1",
        "endpoint": f"http://127.0.0.1:{port}", "force-path-style": True,
    }  # fmt: skip
    configuration.configure(replica_key_id="some-key", replica_access_key="some-secret")
    return make_site("silent", replica=replica)


@pytest.mark.parametrize("options", [{"timeout": 0.5}, {}, {"timeout": 300}])
def test_a_hung_endpoint_ends_in_time(make_site, silent_endpoint, target, monkeypatch, options):
    monkeypatch.setattr(executable_run, "STALL", 0.5)
    site = silent(make_site, silent_endpoint)
    with pytest.raises(litestream.CommandTimeoutError, match=r"(within|for) 0\.5 s"):
        restore(site, target, **options)
    assert set() == listing(target.parent)
    assert [] == children()


def test_the_time_limit_is_for_all_children_together(replicated, target, monkeypatch):
    """For a time after the last change there are six of them."""
    limits: list[float] = []

    def noted(run):
        def slow(argv, *rest, timeout, **options):
            if argv[1] != "version":
                limits.append(timeout)
                time.sleep(0.1)
            if len(limits) > 3:
                raise litestream.CommandTimeoutError(argv, timeout)
            return run(argv, *rest, timeout=timeout, **options)

        return slow

    monkeypatch.setattr(executable_run, "run", noted(executable_run.run))
    time.sleep(1.1)  # times in a replica are whole seconds
    later = datetime.now(timezone.utc)
    with pytest.raises(litestream.CommandTimeoutError, match="within 50 s"):
        commands.restore(f"file://{replicated.replica_path}", target, timestamp=later, timeout=50)
    assert all(later <= earlier - 0.1 for earlier, later in itertools.pairwise([50.1, *limits]))
    assert set() == listing(target.parent)


def children() -> list[str]:
    path = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children")
    pids = path.read_text().split() if path.exists() else []
    names = [Path(f"/proc/{pid}/comm") for pid in pids]
    return [name for path in names if path.exists() and (name := path.read_text()) == "litestream"]


def test_an_interrupt_cleans_up(make_site, silent_endpoint, target):
    site = silent(make_site, silent_endpoint)
    process = subprocess.Popen(restoring(site, target), stderr=subprocess.PIPE)
    wait_until(lambda: listing(target.parent), "the restore's start")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in stderr
    assert set() == listing(target.parent)


def restoring(site, target) -> list[str]:
    """Return the command line of a process that restores from a silent endpoint."""
    script = (
        "import litestream\n"
        "litestream.configure(replica_key_id='some-key', replica_access_key='some-secret')\n"
        f"litestream.commands.restore({str(site.database)!r}, {str(target)!r},"
        f" config={str(site.config)!r})\n"
    )
    return [sys.executable, "-c", script]


@pytest.mark.skipif(not os.path.exists("/proc/self/cmdline"), reason="recognised by /proc")
def test_a_child_of_a_killed_process_ends_with_the_next_restore(
    make_site, silent_endpoint, target, replicated
):
    site = silent(make_site, silent_endpoint)
    process = subprocess.Popen(restoring(site, target))
    (owner,) = wait_until(lambda: list(target.parent.glob("*/owner")), "the restore's start")
    pid = int(wait_until(owner.read_text, "the child"))
    process.kill()
    process.wait()
    assert Path(f"/proc/{pid}").exists()
    restore(replicated, target)
    assert {"app.db"} == listing(target.parent)
    wait_until(lambda: not Path(f"/proc/{pid}/cmdline").exists(), "the orphan's end")
