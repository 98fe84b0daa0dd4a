"""Whether a daemon does what it is for."""

from __future__ import annotations

import pytest

from litestream._supervision.watchdog import Health
from tests.supervision.test_supervisor import job
from tests.support import Site


@pytest.mark.only_series("0.3")
def test_a_quiet_log_is_no_stall(sited: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("litestream._supervision.watchdog.time.monotonic", lambda: now[0])
    health = Health(job(sited))
    health.started()
    sited.write(1)
    states = []
    for line in ("level=WARN msg=hello", "level=INFO msg=hello"):
        health.hear(line)
        for _ in range(6):
            now[0] += 3
            states.append(health.look())
    assert states[:6] == ["replicating"] * 6
    assert states[-1] == "stalled"


def test_a_deleted_database_is_told(sited: Site) -> None:
    health = Health(job(sited))
    health.started()
    assert health.replaced() == ""
    sited.database.unlink()
    assert "was deleted" in health.replaced()
    health.started()
    assert health.replaced() == ""
    sited.database.touch()
    assert health.replaced() == ""


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
