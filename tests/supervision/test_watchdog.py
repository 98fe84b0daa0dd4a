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


@pytest.mark.only_series("0.3")
@pytest.mark.parametrize(
    ("pieces", "overlap"),
    [
        ([(0, 100), (100, 50), (150, 50)], False),
        ([(0, 100), (0, 100), (100, 50)], False),  # the same once more
        ([(0, 100), (0, 150), (150, 50)], False),  # the last one again, and longer
        ([(0, 100), (100, 50), (0, 150)], True),
        ([(0, 150), (100, 50)], True),
    ],
)
def test_a_part_of_the_wal_that_is_written_twice_is_told(
    sited: Site, pieces: list[tuple[int, int]], overlap: bool
) -> None:
    health = Health(job(sited))
    for start, size in pieces:
        health.hear(
            f'time=2026-11-26T03:33:41Z level=INFO msg="wal segment written" db={sited.database} '
            f"replica=file position=8fdfc173283e372e/00000000:{start} elapsed=1ms sz={size}"
        )
    assert health.overlapping == ({str(sited.database)} if overlap else set())
    health.hear(
        f'time=2026-11-26T03:33:42Z level=INFO msg="wal segment written" db={sited.database} '
        "replica=file position=8fdfc173283e372e/00000001:10 elapsed=1ms sz=20"
    )
    assert health.overlapping == ({str(sited.database)} if overlap else set())
