"""Whether a daemon does what it is for."""

from __future__ import annotations

import json

import pytest

from litestream._supervision.watchdog import Health
from tests.supervision.test_supervisor import job
from tests.support import Site


def test_a_deleted_database_is_told(sited: Site) -> None:
    health = Health(job(sited))
    health.started()
    assert health.files.replaced() == ""
    sited.database.unlink()
    assert "was deleted" in health.files.replaced()
    health.started()
    assert health.files.replaced() == ""
    sited.database.touch()
    assert health.files.replaced() == ""


def test_no_sync_for_long_is_a_stall(sited: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("litestream._supervision.watchdog.time.monotonic", lambda: now[0])
    health = Health(job(sited, socket=""))
    health.started()
    states = []
    for _ in range(6):
        now[0] += 3
        health.hear('level=ERROR msg="monitor error" error="no such host"')
        states.append(health.look())
    assert states[:2] == ["replicating"] * 2
    assert states[-1] == "stalled"
    assert health.age >= 9
    now[0] += 10  # and no error any more
    assert health.look() == "replicating"


BEGUN, WRITTEN = "write wal segment", "wal segment written"
FAILED = "monitor error"


@pytest.mark.only_series("0.3")
@pytest.mark.parametrize(
    ("log", "overlap"),
    [
        ([(BEGUN, 0), (WRITTEN, 0), (BEGUN, 100), (WRITTEN, 100)], False),
        ([(BEGUN, 0), (FAILED, 0), (BEGUN, 0), (WRITTEN, 0)], False),  # a server was away
        ([(BEGUN, 0), (BEGUN, 0), (WRITTEN, 0), (WRITTEN, 0)], True),
        ([(BEGUN, 0), (BEGUN, 0), (WRITTEN, 0), (BEGUN, 100), (WRITTEN, 100)], True),
        ([(BEGUN, 0), (BEGUN, 0), (WRITTEN, 0), (FAILED, 0)], True),
        ([(BEGUN, 0), (WRITTEN, 0), (BEGUN, 0)], True),  # one read its position before
        ([(BEGUN, 0), (WRITTEN, 0), (BEGUN, 100), (WRITTEN, 100), (BEGUN, 100)], True),
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_two_that_write_the_same_part_of_the_wal_are_told(
    sited: Site, log: list[tuple[str, int]], form: str, *, overlap: bool
) -> None:
    health = Health(job(sited))
    for message, start in log:
        fields = {"msg": message, "db": str(sited.database), "replica": "file"}
        if message == FAILED:
            fields["error"] = "no such host"
        else:
            fields["position"] = f"8fdfc173283e372e/00000000:{start}"
        if message == WRITTEN:
            fields["sz"] = "100"
        line = {"time": "2026-11-26T03:33:41Z", "level": "INFO", **fields}
        shown = " ".join(f"{key}={json.dumps(value)}" for key, value in fields.items())
        health.hear(
            json.dumps(line, separators=(",", ":"))
            if form == "json"
            else f"time={line['time']} level=INFO {shown}"
        )
    assert health.overlapping == ({str(sited.database)} if overlap else set())


@pytest.mark.only_series("0.3")
def test_what_a_daemon_had_begun_is_forgotten_with_it(sited: Site) -> None:
    """It was killed; the next one writes the same part of the WAL."""
    health = Health(job(sited))
    for _ in range(2):
        health.started()
        health.hear(
            f'time=2026-11-26T03:33:41Z level=INFO msg="{BEGUN}" db={sited.database} '
            "replica=file position=8fdfc173283e372e/00000000:0"
        )
    assert health.overlapping == set()
