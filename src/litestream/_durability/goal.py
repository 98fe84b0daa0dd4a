"""What a wait is for: the WAL of a database up to its end, in the replica, until a deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from litestream._database import wal
from litestream._database.wal import wal_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestream._config.database import Database

_TOUCH_EVERY = 1.0
"""Seconds between two commits of ours."""


class Arrival(NamedTuple):
    """The replica holds everything up to the goal; ``sure`` is False if only a restore can tell."""

    sure: bool
    txid: int | None = None


class Goal:
    """Where one database's WAL ended, and the deadline for its replicas to hold it all.

    ``end`` is None while there is no WAL. ``touch`` makes another commit.
    """

    def __init__(
        self, database: Database, deadline: float, touch: Callable[[], object] = lambda: None
    ) -> None:
        self.database = database
        self.wal = wal_path(database.path)
        self.deadline = deadline
        self.end: wal.WALEnd | None = None
        self.touch = touch
        self.touched = 0.0

    def left(self) -> float:
        """Return the seconds until the deadline, at least a moment for one last question."""
        return max(0.1, self.deadline - time.monotonic())

    def follow(self) -> None:
        """Take the new end of a WAL that was restarted as the goal: it covers the old end, too.

        Do that once for each restart: an end that moves with the writers would never be reached.
        """
        if self.end is None or wal.wal_salts(self.wal) != self.end.salts:
            self.end = wal.committed_end(self.wal) or self.end

    def touch_now_and_then(self) -> None:
        """Make another commit, if the last one is a second ago."""
        if time.monotonic() > self.touched + _TOUCH_EVERY:
            self.touched = time.monotonic()
            self.touch()
