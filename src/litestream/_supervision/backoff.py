"""When a daemon that has ended is started again."""

from __future__ import annotations

import os
import time

DELAYS = (0.5, 30.0)
"""Seconds before a restart after a short life: the first, doubled up to the last."""
SHORT_LIFE = 5.0
"""Seconds: after a shorter life than this, each restart waits longer than the one before."""
_QUIET = 60.0
"""Seconds of life after which the next restart does not wait."""


class Backoff:
    """The delay before each restart: none, then from `first` on doubled up to `last`."""

    def __init__(self, first: float, last: float) -> None:
        self.restarts = 0
        self.delay = 0.0
        self._first, self._last = first, last
        self._due = 0.0

    def restart(self, life: float) -> None:
        """Count a restart of a daemon that lived for so many seconds, and begin to wait."""
        self.restarts += 1
        if life > _QUIET:
            self.delay = 0.0
        elif life < SHORT_LIFE or self.delay:
            self.delay = min(max(self.delay * 2, self._first), self._last)
        jitter = 0.8 + 0.2 * os.urandom(1)[0] / 255  # `random` takes long to import
        self.wait(self.delay * jitter)

    def is_used_up(self, restarts: int | None) -> bool:
        """Tell whether there were so many restarts, where there may only be so many."""
        return restarts is not None and self.restarts >= restarts

    def wait(self, seconds: float) -> None:
        """Begin to wait."""
        self._due = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Return the seconds until the wait is over; 0 or less once it is."""
        return self._due - time.monotonic()
