"""Notice that nothing replicates a database, so that nothing has to be waited for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from litestream._health import daemons
from litestream._health.watched import Watched

if TYPE_CHECKING:
    from litestream._config.database import Database

_EVERY = 0.5


def opening(database: Database) -> float:
    """Return the seconds in which a daemon that was started has opened a database."""
    return 1.0 + 2 * database.monitor_interval


class Lookout:
    """Looks for the daemon of a database while a commit is waited for."""

    def __init__(self, database: Database) -> None:
        config = database.config
        self._watched = Watched(
            database.path, database.meta, config.series, socket=config.own_socket
        )
        self._sure = opening(database)
        self._next = 0.0
        self._since: float | None = None

    def sees_none(self) -> bool:
        """Tell whether surely no daemon has replicated the database for some time."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _EVERY
        if not daemons.is_none(self._watched):
            self._since = None
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since >= self._sure
