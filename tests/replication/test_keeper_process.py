"""The application's end of the pipe to a keeper."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from litestream._replication.keeper_process import KeeperProcess
from litestream._supervision.job import Database, Job


def test_a_keeper_that_takes_no_job_holds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\nimport time; time.sleep(600)")
    program.chmod(0o700)
    monkeypatch.setattr("litestream._replication.keeper_process.python", lambda: str(program))
    databases = [Database(f"/tenants/{number:0200}.db", "", 1.0) for number in range(1000)]
    job = Job([], "0.5", databases, "", "")
    events: list[object] = []
    process = KeeperProcess(job, events.append, lambda: None, str(tmp_path))
    try:
        assert not process.send(0.1)
        process.replace(job)
        assert not process.send(0.1)
        assert not process.end(0.1)
    finally:
        process.kill()
        process.reap()
    assert events == []
