"""How far a replica is behind, as far as this is known without a request to the replica.

Two differences are measured: from the committed WAL to the daemon's local state, and from there to
the replica, as the daemon reports it. Nothing records the time of a commit that is not copied yet,
so the first difference is a lower bound. A process that looks repeatedly remembers when it first
saw the copy stand still.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from litestream._database.local_state import Position03, newest_local
from litestream._database.wal import WAL_HEADER_SIZE, WALEnd, holds_more, wal_path, wal_salts
from litestream._durability.series_03 import measured_position, metrics_page

if TYPE_CHECKING:
    from litestream._health.daemons import Daemon
    from litestream._health.watched import Watched

_ANSWER = 0.25
_RUNNING = ("starting", "replicating", "mending", "stalled")

_seen: dict[str, tuple[object, float]] = {}


class Lag(NamedTuple):
    """Seconds that the replica is behind, and when it was last up to date; None if unknown.

    If the replica's state is unknown, ``behind`` is the time for which a change has not even been
    copied on this host, and a lower bound (``least``).
    """

    behind: float | None
    last_sync: float | None
    least: bool = False


class Pages(dict[str, str]):
    """The metrics pages of daemons (0.3), each read once."""

    def __missing__(self, address: str) -> str:
        self[address] = metrics_page(address, _ANSWER) if address else ""
        return self[address]


def measure(database: Watched, daemon: Daemon, pages: Pages, now: float) -> Lag:
    """Return how far the replica of one database is behind."""
    try:
        return (_lag_03 if database.series == "0.3" else _lag_05)(database, daemon, pages, now)
    except (OSError, ValueError):  # the files are removed meanwhile
        return Lag(None, None)


def _lag_05(database: Watched, daemon: Daemon, _pages: Pages, now: float) -> Lag:
    newest = newest_local(database.meta)
    mark = newest and newest.txid
    waiting = _waiting(database, newest and newest.end, mark, now)
    if daemon.state not in _RUNNING:
        last = _number(daemon.noted.get("synced"))
        ended = newest is not None and daemon.noted.get("ended") == newest.txid
        return Lag(waiting or (0.0 if ended and waiting is not None else None), last)
    if not daemon.synced:  # silent, without a socket, or new: a daemon knows its own syncs only
        since = daemon.noted.get("since") if daemon.state == "stalled" else None
        return Lag(waiting or None, _number(since), least=True)
    sent = _unsent_since(database.meta, daemon.synced)
    late = 0.0 if sent is None else max(0.0, now - sent)
    return Lag(max(late, waiting or 0.0), daemon.synced)


def _unsent_since(meta: str, synced: float) -> float | None:
    """Return the time of the oldest local LTX file after the last sync."""
    oldest = None
    with suppress(FileNotFoundError), os.scandir(os.path.join(meta, "ltx", "0")) as found:
        for file in found:
            with suppress(OSError):
                written = file.stat().st_mtime
                if file.name.endswith(".ltx") and written > synced:
                    oldest = min(oldest or written, written)
    return oldest


def _lag_03(database: Watched, daemon: Daemon, pages: Pages, now: float) -> Lag:
    copied = _shadow(database.meta)
    waiting = _waiting(database, copied and copied.end, copied and copied.place, now)
    last = _number(daemon.noted.get("synced"))
    if copied is None or (daemon.state not in _RUNNING and last is None):
        return Lag(waiting or None, last, least=True)
    if daemon.state not in _RUNNING:  # stopped by its keeper, with a final sync
        return Lag(waiting, last)
    is_there = _is_there(database, daemon, pages, copied)
    if is_there is None:
        return Lag(waiting or None, last, least=True)
    late = 0.0 if is_there else max(0.0, now - copied.written)
    return Lag(max(late, waiting or 0.0), last)


class _Copied(NamedTuple):
    """How far 0.3 has copied the WAL, its name for that place, and the time of the copy."""

    place: Position03
    end: WALEnd
    written: float


def _is_there(database: Watched, daemon: Daemon, pages: Pages, copied: _Copied) -> bool | None:
    """Return whether the replicas hold everything that was copied; None if unknown."""
    place, noted = copied.place, daemon.noted
    positions = noted.get("positions")
    if isinstance(positions, dict):
        reached = [Position03(*position) for position in positions.values()]
        reached = [at for at in reached if at.generation == place.generation]
        if reached:
            return all(at.reaches(place) for at in reached)
    since = _number(noted.get("since"))
    if since and daemon.state != "starting":  # no segment was sent: was there one to send?
        return daemon.state == "replicating" and copied.written <= since
    if database.metrics:
        at = measured_position(pages[database.metrics], database.path, place.generation)
        return None if at is None else at.reaches(place)
    return None


def _shadow(meta: str) -> _Copied | None:
    with suppress(FileNotFoundError):
        with open(os.path.join(meta, "generation"), encoding="ascii") as file:
            generation = file.read().strip()
        folder = os.path.join(meta, "generations", generation, "wal")
        for name in sorted(os.listdir(folder), reverse=True):
            path = os.path.join(folder, name)
            salts, found = wal_salts(path), os.stat(path)
            if salts is not None and found.st_size > WAL_HEADER_SIZE:
                place = Position03(generation, int(name.partition(".")[0], 16), found.st_size)
                return _Copied(place, WALEnd(salts, found.st_size), found.st_mtime)
    return None


def _waiting(database: Watched, copied: WALEnd | None, mark: object, now: float) -> float | None:
    """Return the least time for which a commit has waited to be copied; 0 if none waits.

    None without a WAL: then nobody knows what was written into the database itself.
    """
    wal = wal_path(database.path)
    if not holds_more(wal, copied):
        _seen.pop(database.path, None)
        return 0.0 if copied is not None and wal_salts(wal) is not None else None
    before = _seen.get(database.path)
    if before is None or before[0] != mark:
        _seen[database.path] = before = mark, time.monotonic()
    return max(0.001, now - os.stat(wal).st_mtime, time.monotonic() - before[1])


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
