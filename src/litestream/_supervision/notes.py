"""The notes in the lock files, for other processes: a daemon's state, the positions of 0.3.

Only the log of 0.3 has its positions. 0.5 has a socket for that.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestream._database.local_state import Position03
    from litestream._database.lock import Lock

_EVERY = 1.0
_AT_ONCE = 200  # of a thousand databases that are all written to, some wait for the next turn


def note(lock: Lock, **values: object) -> bool:
    """Note values in a lock, and return whether there was room: without it, the note is lost."""
    try:
        lock.note(**values)
    except OSError:
        return False
    return True


class Notes:
    """The notes in some locks, written while the locks are held."""

    def __init__(self, locks: Sequence[Lock]) -> None:
        self._locks = locks
        self._arrived: dict[str, tuple[str, float]] = {}
        self._due = 0.0

    def state(self, state: str, pid: int, restarts: int, age: float = 0.0, **more: object) -> None:
        """Note a state that has lasted for some seconds."""
        since = time.time() - age
        for lock in self._locks:
            note(lock, state=state, pid=pid, restarts=restarts, since=since, **more)

    def arrived(self, database: str) -> None:
        """Remember to note that a replica has got something."""
        self._arrived[os.path.realpath(database)] = database, time.time()

    def flush(self, positions: Mapping[str, Mapping[str, Position03]]) -> None:
        """Note what has arrived, from time to time, and no more at once than is cheap.

        The longest waiting database is the first.
        """
        if not self._arrived or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _EVERY
        locks = {lock.database: lock for lock in self._locks}
        for database in list(self._arrived)[:_AT_ONCE]:
            path, at = self._arrived.pop(database)
            if database in locks:
                note(locks[database], positions=positions.get(path, {}), synced=at)
