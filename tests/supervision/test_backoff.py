"""The delays before restarts."""

from __future__ import annotations

from litestream._supervision.backoff import Backoff


def test_delays_double_and_end_after_a_quiet_minute() -> None:
    backoff = Backoff(0.5, 30.0)
    waits = []
    for life in (1.0, 1.0, 1.0, *[10.0] * 6, 61.0, 10.0, 1.0):
        backoff.restart(life)
        assert 0.8 * backoff.delay - 0.1 <= backoff.left <= backoff.delay
        waits.append(backoff.delay)
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 0.0, 0.0, 0.5]
    assert backoff.restarts == len(waits)
