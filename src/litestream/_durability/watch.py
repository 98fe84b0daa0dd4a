"""Wait until a place in the WAL is in the replica, by what the series and the daemon offer.

Nothing here proves anything: a replica whose files are gone still has its position in the
daemon's memory. It says when a restore is worth while; the restored copy decides.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream._control_socket.client import ControlSocket
from litestream._database import local_state, wal
from litestream._database.audit import audit
from litestream._database.files import wal_path
from litestream._database.lock import Lock
from litestream._durability.series_03 import (
    REQUEST,
    measured_position,
    metrics_page,
    stored_position,
)
from litestream._executable import listings
from litestream.errors import ControlSocketError, LitestreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from litestream._config.config import Database
    from litestream._database.audit import Audit
    from litestream.rows import SyncResult, WALRow

_FIRST, _LAST = 0.01, 0.25  # seconds between two looks
_TOUCH_EVERY = 1.0  # seconds between two commits of ours, where only the replica's listing tells

_DOUBT = 1.0
"""Seconds for a keeper to see, and to note, a hole that was seen here."""

_audits: dict[tuple[str, str, str], Audit] = {}
_auditing = threading.Lock()


class Arrival(NamedTuple):
    """A place has arrived in the replica; not ``sure`` where only the restored copy can tell."""

    sure: bool
    txid: int | None = None


class NotArrivedError(LitestreamError):
    """A place was not in the replica in time; ``local`` if the daemon had taken it up.

    ``hole`` says what is missing from the replica, if that was the reason.
    """

    def __init__(self, *, local: bool, hole: str = "") -> None:
        super().__init__(local, hole)
        self.local = local
        self.hole = hole


class Watch:
    """Watches one database's way into its replicas, from before the commit that matters.

    ``positions`` are those that a daemon of ours has logged, by database and replica (0.3).
    ``pulse`` is called at every look, and ends the wait by raising. ``touch`` makes another commit
    (0.3). With ``sure`` an arrival is never one that only the restored copy can tell.
    """

    def __init__(
        self,
        database: Database,
        deadline: float,
        *,
        positions: Mapping[tuple[str, str], local_state.Position03] | None = None,
        only_new: bool = False,
        sure: bool = False,
        pulse: Callable[[], object] = lambda: None,
        touch: Callable[[], object] = lambda: None,
    ) -> None:
        self._database = database
        self._wal = wal_path(database.path)
        self._deadline = deadline
        self._positions = positions
        self._pulse = pulse
        self._sure = sure
        self._touch = touch
        self._touch_at = (time.monotonic() + deadline) / 2
        self._touched = 0.0
        self._woken = False
        self._leftover = b""
        self._doubtful_until = 0.0
        self._asked = False
        self._end: wal.WALEnd | None = None
        self._local = False
        self._txid = 0
        self._listed = (
            database.config.series == "0.3"
            and positions is None
            and not database.config.metrics
            and not database.folders
        )
        self._seen = self._newest_segment() if only_new and self._listed else None

    def arrival(self, end: wal.WALEnd | None) -> Arrival:
        """Return when everything up to ``end`` is in the replicas, as far as can be told.

        Without ``end`` (there is no WAL yet), everything up to the first one that is seen. Where
        only the replica's listing tells (0.3 with a remote replica and no metrics), whenever
        something new has come; with ``only_new``, newer than what was there when this Watch was
        made; to be ``sure``, commits are made until a segment begins behind the end.

        Raises:
            NotArrivedError: the deadline has passed.

        """
        look = self._look_03 if self._database.config.series == "0.3" else self._look_05
        self._end, self._local = end, False
        pause = _FIRST
        hole, settled = "", False
        start: int | str = 0
        while True:
            self._pulse()
            if not settled:
                hole, self._txid = self._dead_writer() if self._sure else "", 0
                settled = not hole
                start = self._start()
                if self._sure and settled:  # a sync that read what is gone now has ended by then
                    self._end = wal.committed_end(self._wal) or end
            arrival = look() if settled else None
            if arrival is not None:
                hole = self._hole()
                if not hole and start == self._start():
                    return arrival
                settled = False  # what has made a hole good may not have arrived
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise NotArrivedError(local=self._local, hole=hole or self._known_hole())
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _LAST)

    def _known_hole(self) -> str:
        """Say what keeps anything from arriving, if a keeper has noted that, or it is plain."""
        with _auditing:
            found = self._audit()
            return str(Lock(self._database.path).noted().get("hole") or found.hole)

    def _hole(self) -> str:
        """Say why what is in the replica is not what was committed, if that is known."""
        noted = Lock(self._database.path).noted()
        with _auditing:
            found = self._audit()
            found.look()
            hole = str(noted.get("hole") or found.hole or self._may_have_jumped(noted))
            if found.hole:  # seen anew next time: whether it is mended, the daemon's keeper knows
                self._audit(anew=True)
                self._doubtful_until = time.monotonic() + _DOUBT
            elif found.unsettled:
                hole = hole or "it holds what no commit covers"
            elif self._sure and not self._asked and found.leftover():
                # A daemon that was asked has copied it by now. Any other may do so in a moment.
                hole = hole or "a writer is in its COMMIT, or has died there"
        if time.monotonic() < self._doubtful_until:
            hole = hole or "it is being looked at"
        return hole

    def _may_have_jumped(self, noted: dict[str, Any]) -> str:
        """Say that a daemon of ours, which does not answer, may have jumped over a part of the WAL.

        Told to end by somebody else, 0.5.17 lets go of the WAL before its final sync. The next one
        is started with that in mind, and then answers.
        """
        is_kept = os.path.isdir(str(noted.get("directory") or ""))  # gone after a stop of ours
        if self._database.config.series != "0.5" or self._asked or not is_kept:
            return ""
        newest = local_state.newest_local(self._database.meta)
        if newest is None or noted.get("ended") == newest.txid:
            return ""
        if local_state.one_wal(self._database.meta, local_state.FILES_OF_AN_END):
            return ""
        return "the daemon has ended, and may have missed changes"

    def _start(self) -> int | str:
        with _auditing:
            found = self._audit()
            found.look()
            return found.start

    def _dead_writer(self) -> str:
        """Say that a writer has died in its COMMIT, if it has left there what will be copied.

        One that is alive goes on. A daemon of this library writes over what a dead one has left;
        beside any other daemon, that is done here.
        """
        with _auditing:
            before, self._leftover = self._leftover, self._audit().leftover()
        if not self._leftover or before not in (b"", self._leftover):
            self._leftover = b""
            return ""
        if not before:
            self._touched = time.monotonic()
        elif time.monotonic() > self._touched + _TOUCH_EVERY:
            self._touched = time.monotonic()
            self._touch()
        return "a writer has died in its COMMIT"

    def _audit(self, *, anew: bool = False) -> Audit:
        key = self._database.config.series, self._database.path, self._database.meta
        if anew or key not in _audits:
            _audits[key] = audit(*key)
        return _audits[key]

    def is_over(self) -> bool:
        """Say whether the deadline has passed."""
        return time.monotonic() >= self._deadline

    def renew(self, deadline: float) -> None:
        """Set the deadline for another attempt."""
        self._deadline = max(deadline, self._deadline)

    def postpone(self, seconds: float) -> None:
        """Put the deadline off by what somebody else's work has taken."""
        self._deadline += seconds

    def _left(self) -> float:
        """Return the seconds until the deadline, and a moment for what must still be asked."""
        return max(0.1, self._deadline - time.monotonic())

    def _follow(self) -> None:
        """Go for where the WAL ends now if it was restarted: that covers the old end, too.

        Once only for each restart: an end that moves with the writers would never be reached.
        """
        if self._end is None or wal.wal_salts(self._wal) != self._end.salts:
            self._end = wal.committed_end(self._wal) or self._end

    # Series 0.5

    def _look_05(self) -> Arrival | None:
        """Ask the daemon; where none answers, look into its local LTX files and the replica.

        A daemon that was started anew meanwhile counts on from its local state, so the
        transaction's number stays good.
        """
        answer = self._answer()
        self._asked = answer is not None
        if answer is not None:
            self._txid = self._txid or answer["txid"]
            replicated = answer["replicated_txid"]
        else:
            self._txid = self._txid or self._local_txid()
            replicated = self._listed_txid() if self._txid else 0
        self._local = bool(self._txid)
        return Arrival(sure=True, txid=self._txid) if 0 < self._txid <= replicated else None

    def _answer(self) -> SyncResult | None:
        """Make a daemon sync, with the one request that is safe; None if there is none to ask."""
        noted = Lock(self._database.path).noted().get("socket")
        for path in (noted, self._database.config.socket):
            if path and os.path.exists(path):
                with contextlib.suppress(ControlSocketError):
                    client = ControlSocket(path, min(REQUEST, self._left()))
                    return client.sync(self._database.path)
        return None

    def _local_txid(self) -> int:
        found = self._end and local_state.local_txid(self._database.meta, self._end)
        if found is None:
            self._follow()
        return found or 0

    def _listed_txid(self) -> int:
        with contextlib.suppress(LitestreamError):
            rows = listings.ltx(
                self._database.path,
                level="all",
                config=self._database.config,
                timeout=self._left(),
            )
            return max((int(row["max_txid"], 16) for row in rows), default=0)
        return 0

    # Series 0.3

    def _look_03(self) -> Arrival | None:
        """Find the place in the shadow WAL, then in the replicas.

        Half-way through the wait another commit is made, to wake a daemon that has overlooked the
        last one. Source: 0.3.13 looks at the WAL's size, then copies what is there. What is
        committed in between is copied, but nobody tells the replica, until the next commit; that
        happens to about one commit in a thousand with the default interval.
        """
        if time.monotonic() > self._touch_at:
            self._touch_at = self._deadline
            self._touch()
        place = self._end and local_state.shadow_position(self._database.meta, self._end)
        if place is None:
            self._follow()
            return None
        self._local = True
        if not self._listed:
            return Arrival(sure=True) if self._are_at(place) else None
        if self._sure:
            return self._listed_behind(place)
        newest = self._newest_segment()
        if newest in (None, self._seen):
            return None
        self._seen = newest
        return Arrival(sure=False)

    def _are_at(self, place: local_state.Position03) -> bool:
        """Tell whether every replica is known to hold everything up to a place."""
        database = self._database
        if self._positions is not None:
            logged = [
                at for (path, _), at in list(self._positions.items()) if path == database.path
            ]
            if len(logged) >= len(database.replicas) and all(at.reaches(place) for at in logged):
                return True
            if not logged and not self._woken:  # a daemon logs nothing until the next commit
                self._woken = True
                self._touch()
        if database.config.metrics:
            page = metrics_page(database.config.metrics)
            found = [measured_position(page, database.path, place.generation, database.replica)]
        else:
            folders = database.folders or []
            found = [stored_position(folder, place.generation) for folder in folders]
        return bool(found) and all(at is not None and at.reaches(place) for at in found)

    def _listed_behind(self, place: local_state.Position03) -> Arrival | None:
        """Look for segments that begin at a place or behind it: what is before them is there, too.

        0.3 writes them one after the other. One that holds the place itself tells nothing: the
        listing has its beginning, and not its uncompressed length.
        """
        reached = {
            row["replica"]
            for row in self._segments()
            if local_state.Position03(row["generation"], row["index"], row["offset"]).reaches(place)
        }
        if len(reached) >= len(self._database.replicas):
            return Arrival(sure=True)
        if time.monotonic() > self._touched + _TOUCH_EVERY:
            self._touched = time.monotonic()
            self._touch()
        return None

    def _newest_segment(self) -> object:
        rows = self._segments()
        return max(((row["created"], row["index"], row["offset"]) for row in rows), default=None)

    def _segments(self) -> list[WALRow]:
        with contextlib.suppress(LitestreamError):
            return listings.wal(
                self._database.path,
                replica=self._database.replica,
                config=self._database.config,
                timeout=self._left(),
            )
        return []


def last_replicated(database: Database) -> tuple[str, str] | None:
    """Return the newest position in the replica and when it was written; None in an empty one.

    Raises:
        CommandFailedError, CommandTimeoutError: it cannot be read.

    """

    def rows(listing: Callable[..., list[Any]], **options: Any) -> list[Any]:
        return listing(
            database.path,
            config=database.config,
            timeout=REQUEST,
            **options,
        )

    if database.config.series == "0.5":
        found = rows(listings.ltx, level="all")
        return max(((row["max_txid"], row["created"]) for row in found), default=None)
    one = {"replica": database.replica}
    found = [*rows(listings.snapshots, **one), *rows(listings.wal, **one)]
    newest = max(found, key=lambda row: (row["created"], row["index"]), default=None)
    if newest is None:
        return None
    return f"{newest['generation']}/{newest['index']}", newest["created"]
