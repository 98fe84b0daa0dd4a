"""The hand-overs of all of a daemon's databases (see `database_handover` for what one is)."""

from __future__ import annotations

import os
import time
from functools import partial

from litestream._database.files import is_database
from litestream._database.local_state import newest_local
from litestream._database.wal import page_size, wal_path
from litestream._supervision.database_handover import Handover
from litestream._supervision.notes import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from litestream._database.lock import Lock
    from litestream._supervision.job import Job

_LOCK_WAIT, _LEAST = 2.0, 0.1
"""Seconds to wait for write transactions to end: for all databases together, and for one."""


class Handovers:
    """The hand-overs of all databases from one daemon to the next; empty on 0.3."""

    def __init__(self, job: Job, locks: Sequence[Lock]) -> None:
        self._databases = job.databases if job.series == "0.5" else []
        self._locks = {lock.database: lock for lock in locks}
        self._open: list[Handover] = []
        self._unfinished: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._open)

    def begin(self) -> None:
        """Pin every WAL, so that none is restarted while no daemon holds it."""
        self.close()
        self._open = [Handover(d.path, d.meta) for d in self._databases if is_database(d.path)]

    def let_go(self) -> None:
        """Release every WAL, since one of them must be emptied."""
        for handover in self._open:
            handover.close()

    def arm(self, *, whole: bool, killed: bool, hole: Callable[[str], str]) -> None:
        """Get ready for the next daemon's start.

        `whole`: the next daemon copies every database whole. `killed`: the last daemon did no
        final sync. `hole` says what the copy of a database lacks.
        """
        deadline = time.monotonic() + _LOCK_WAIT
        for handover in self._open:
            handover.arm(
                whole=whole or bool(hole(handover.database)),
                trusted=killed or self._ended_well(handover),
                wait=max(_LEAST, deadline - time.monotonic()),
            )

    def pages_changed(self) -> bool:
        """Tell whether the page size of a database differs from that of its local state.

        0.5.17 restores no chain with both page sizes; a snapshot begins a new chain.
        """
        for handover in self._open:
            newest, size = newest_local(handover.meta), page_size(wal_path(handover.database))
            if newest is not None and size and newest.page_size != size:
                return True
        return False

    def poll(self, has_synced: Callable[[str], bool]) -> list[Handover]:
        """Release the locks that are no longer needed; return the hand-overs that are done."""
        for handover in self._open:
            handover.poll(partial(has_synced, handover.database))
        done = [handover for handover in self._open if handover.done]
        self._open = [handover for handover in self._open if not handover.done]
        return done

    def hold_for_end(self) -> None:
        """Pin the WALs while a daemon that still runs does its final sync."""
        self._unfinished = {handover.database for handover in self._open}
        self.begin()
        for handover in self._open:
            handover.hold_for_end()

    def note_end(self, looked: Container[str]) -> None:
        """Note where the local state ends, for the next daemon's start to trust it.

        Skip a database whose WAL could not be held, and a database that this daemon may not have
        opened: it has opened those in `looked`.
        """
        for handover in self._open:
            newest = newest_local(handover.meta)
            known = handover.database in looked and handover.database not in self._unfinished
            if newest is not None and known and handover.is_pinned:
                note(self._lock(handover), ended=newest.txid)

    def close(self) -> None:
        """Release every WAL."""
        for handover in self._open:
            handover.close()
        self._open = []

    def _ended_well(self, handover: Handover) -> bool:
        """Tell whether the newest local state is what a stop of ours has left."""
        newest = newest_local(handover.meta)
        return newest is None or self._lock(handover).noted().get("ended") == newest.txid

    def _lock(self, handover: Handover) -> Lock:
        return self._locks[os.path.realpath(handover.database)]
