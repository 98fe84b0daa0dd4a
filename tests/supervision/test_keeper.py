"""The keeper: a process that runs a supervisor."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from pathlib import Path
from selectors import DefaultSelector

import pytest

from litestream._supervision import keeper
from litestream._supervision.job import packed
from litestream._supervision.keeper import Events
from tests.supervision.test_supervisor import job
from tests.support import Site, restored


def test_events_wait_for_a_slow_reader_and_count_what_they_drop() -> None:
    reader, writer = os.pipe()
    selector = DefaultSelector()
    events = Events(writer, selector)
    for number in range(20_000):
        events.report({"log": f"{number} " + "x" * 100})
    events.report({"state": "replicating"})
    assert events.dropped > 0
    received = b""
    while events._waiting:
        received += os.read(reader, 1 << 20)
        for key, _ in selector.select(0):
            key.data()
    events.report({"log": "last"})
    received += os.read(reader, 1 << 20)
    lines = [json.loads(line) for line in received.splitlines()]
    assert lines[-1]["dropped"] > 10_000
    assert {"state": "replicating"} in lines
    os.close(reader)
    events.report({"log": "to nobody"})
    events.flush()
    os.close(writer)
    selector.close()


def test_the_keeper_does_its_job_and_ends_with_its_pipe(
    sited: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    """In this process: elsewhere it runs without anything that could look at it."""
    directory = Path(tempfile.mkdtemp(prefix="litestream-"))
    (directory / "litestream.yml").touch()
    reader, writer = os.pipe()
    events, report = os.pipe()
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD)
    }
    kept = os.dup(0), os.dup(1)
    os.write(writer, packed(job(sited, directory=str(directory))))
    os.close(writer)
    os.dup2(reader, 0)
    os.dup2(report, 1)
    try:
        keeper.main()
    finally:
        os.dup2(kept[0], 0)
        os.dup2(kept[1], 1)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for file in (*kept, reader, report):
            os.close(file)
    with open(events) as lines:
        said = [json.loads(line) for line in lines]
    states = [event["state"] for event in said if "state" in event]
    assert states[0] == "starting"
    assert states[-1] == "stopped"
    assert {"synced": True, "killed": False} in said
    assert not directory.exists()
    assert restored(sited) == sited.rows()


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0" * 7 + b"\5"])
def test_a_keeper_without_a_job_ends(sent: bytes) -> None:
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD)
    }
    reader, writer = os.pipe()
    os.write(writer, sent)
    os.close(writer)
    kept = os.dup(0)
    os.dup2(reader, 0)
    try:
        keeper.main()
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(reader)
        for number, handler in handlers.items():
            signal.signal(number, handler)
