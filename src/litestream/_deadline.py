"""A time limit that several steps share."""

from __future__ import annotations

import time

from litestream.errors import ConfigurationError


def seconds_left_if_limited(deadline: float | None) -> float | None:
    """Return the seconds until a deadline, if there is one."""
    return None if deadline is None else max(0.001, deadline - time.monotonic())


def require_positive(timeout: float | None) -> None:
    """Refuse a time limit in which nothing can be done.

    Raises:
        ConfigurationError: it is not more than 0.

    """
    if timeout is not None and not timeout > 0:
        raise ConfigurationError(f"timeout={timeout} must be more than 0 seconds")
