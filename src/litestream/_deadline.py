"""A time limit that several steps share."""

from __future__ import annotations

import time


def seconds_left_if_limited(deadline: float | None) -> float | None:
    """Return the seconds until a deadline, if there is one."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())
