"""The goal of a wait: the replica holds a database's WAL up to its end, before a deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream._database import wal
from litestream._database.lock import Lock
from litestream._database.wal import wal_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestream._config.database import Database

_TOUCH_EVERY = 1.0
"""Seconds between two commits that this library makes."""


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
        self._lock = Lock(database.path)

    def left(self) -> float:
        """Return the seconds until the deadline, at least a moment for one last question."""
        return max(0.1, self.deadline - time.monotonic())

    def noted(self) -> dict[str, Any]:
        """Return the notes of the database's keeper."""
        return self._lock.noted()

    def is_kept(self) -> bool:
        """Tell whether a keeper has the database now."""
        return self._lock.is_held() is True

    def follow(self) -> None:
        """After a restart of the WAL, take the new end as the goal: it covers the old end, too.

        Do so once for each restart: a goal that moves with every commit is never reached.
        """
        if self.end is None or wal.wal_salts(self.wal) != self.end.salts:
            self.end = wal.committed_end(self.wal) or self.end

    def touch_now_and_then(self) -> None:
        """Make another commit if the last one was a second ago."""
        if time.monotonic() > self.touched + _TOUCH_EVERY:
            self.touched = time.monotonic()
            self.touch()
