"""Mend what a daemon has copied and SQLite has never committed (see `audit`), while it runs.

A WAL that SQLite has torn is mended while no daemon runs, since a daemon's read transaction keeps
the WAL from being emptied. A connection of ours is open from the moment that the tear is found.
Without one, the next connection would recover the WAL, and lose the frames behind the tear.
"""

from __future__ import annotations

import os
import time
from contextlib import closing, suppress

from litestream._database.audits import audit
from litestream._database.connect import (
    LOCK_WAIT,
    TRUNCATE_WAIT,
    bump,
    is_unused,
    open_by_uri,
    truncate_wal,
)
from litestream._supervision.notes import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Sequence

    from litestream._database.audit import Traces
    from litestream._database.lock import Lock
    from litestream._supervision.job import Database, Job

_AGAIN = 2.0
"""Seconds, beside two sync intervals, for the daemon to copy the whole database."""
_UNTOLD = 10.0
"""Seconds, beside `_AGAIN`, until what was copied can be compared with what is committed."""
_EMPTY_PAUSE = 60.0
"""Most seconds between two tries to empty a torn WAL: readers may keep it."""
_UNHEARD = "a daemon was killed while it ended, and may have written a part of the WAL twice"
"""The hole where no keeper has read how a daemon of 0.3 ended."""
_PIECES = 64
"""Pieces of the local state that are looked at when a daemon is about to start."""


class Mending:
    """The audits of a daemon's databases. `report` is called with each hole that is found."""

    def __init__(self, job: Job, locks: Sequence[Lock], report: Callable[[str], None]) -> None:
        by_path = {lock.database: lock for lock in locks}
        self._databases = {
            database.path: _Database(job.series, database, by_path[os.path.realpath(database.path)])
            for database in job.databases
        }
        self._report = report

    def go_on_from(self, former: Mending) -> None:
        """Take over what is known of the databases that both jobs have; let go the rest."""
        known = former._databases
        for path in self._databases.keys() & known.keys():
            self._databases[path] = known.pop(path)
        former.close()

    def take_notes(self) -> None:
        """Take over the holes that earlier keepers have noted, and may not have mended."""
        for database in self._databases.values():
            database.take_note(self._report)

    @property
    def holes(self) -> bool:
        """Tell whether there is a known hole that is not mended yet."""
        return any(database.audit.hole for database in self._databases.values())

    @property
    def torn(self) -> bool:
        """Tell whether a WAL is torn, and the time for a try to empty it has come."""
        return any(database.is_due() for database in self._databases.values())

    def empty(self) -> None:
        """Empty the torn WALs, without a daemon. A checkpoint reads the wal-index, which is whole.

        The daemon then copies the whole database.
        """
        for database in self._databases.values():
            if database.is_due():
                database.empty()

    def close(self) -> None:
        """Close the connections to the databases."""
        for database in self._databases.values():
            database.let_go()

    def hole(self, path: str) -> str:
        """Return the known hole in the copy of a database."""
        return self._databases[path].audit.hole

    def forget(self, path: str) -> None:
        """Let the next daemon copy a whole database, while none runs."""
        with suppress(OSError, KeyError):
            self._databases[path].audit.forget()

    def declare(self, path: str, hole: str) -> None:
        """Note a hole that the local state does not show, and report it at once."""
        self._databases[path].declare(hole, self._report)

    @property
    def doubtful(self) -> list[str]:
        """Return the databases that were not clean at the last look."""
        return [path for path, one in self._databases.items() if not one.audit.clean]

    def look(self, only: Collection[str] | None = None) -> bool:
        """Look for holes in all databases or some, begin to mend them; say whether all is clean."""
        clean = True
        for path in self._databases if only is None else only:
            clean = self._databases[path].look(self._report) and clean
        return clean

    def settle(self) -> bool:
        """Find out, without a daemon, whether all that was copied is committed."""
        clean = True
        for database in self._databases.values():
            clean = database.settle(self._report) and clean
        return clean


class _Database:
    def __init__(self, series: str, database: Database, lock: Lock) -> None:
        self.audit = audit(series, database.path, database.meta, _PIECES)
        self._path = database.path
        self._lock = lock
        self._pause = 2 * database.interval + _AGAIN
        self._told = self._noted = ""
        self._leftover = b""
        self._traces: Traces = ()
        self._settled = time.monotonic()
        self._forgotten = ""
        self._again = self._empty_again = 0.0
        self._empty_pause = _AGAIN
        self._kept: sqlite3.Connection | None = None

    def look(self, report: Callable[[str], None]) -> bool:
        self.audit.final = False
        traces = self.audit.traces()
        if traces and traces == self._traces and self.audit.clean:
            self._settled = time.monotonic()
            return True
        if self._look() or self.audit.hole:
            self._settled = time.monotonic()
        elif self.audit.ahead:
            self._ask_for_the_writer()
        elif time.monotonic() > self._settled + self._pause + _UNTOLD:
            self.audit.hole = "not all that was committed may have been copied"
        self._tell(report)
        if self.audit.hole and not self.audit.torn:
            self._mend()
        elif self.audit.clean:
            self._remove_leftover()
        is_done = self.audit.clean and not self._leftover and not self._noted
        self._traces = traces if is_done else ()
        return self.audit.clean

    def declare(self, hole: str, report: Callable[[str], None]) -> None:
        self.audit.look()
        self.audit.hole = self.audit.hole or hole
        self._tell(report)

    def take_note(self, report: Callable[[str], None]) -> None:
        noted = self._lock.noted()
        hole = noted.get("hole") or (_UNHEARD if noted.get("ending") else "")
        self._noted = str(noted.get("hole") or "")
        if hole:
            self.declare(str(hole), report)
            if self._noted:
                note(self._lock, ending=False)

    def is_due(self) -> bool:
        return self.audit.torn and time.monotonic() > self._empty_again

    def settle(self, report: Callable[[str], None]) -> bool:
        self.audit.final = True
        if not self._look() and self.audit.ahead and not self.audit.hole:
            bump(self._path)  # waits for a writer, and writes over what a dead one has left
            if not self.audit.look() and self.audit.ahead:
                self._blame_the_dead()
        elif self.audit.leftover():
            bump(self._path)  # the next daemon must not copy it
        self._tell(report)
        return not (self.audit.hole or self.audit.ahead)

    def let_go(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _look(self) -> bool:
        import sqlite3

        clean = self.audit.look()
        if self.audit.torn and self._kept is None:
            with suppress(sqlite3.Error):
                self._kept = open_by_uri(self._path, "ro", LOCK_WAIT)
                self._kept.execute("SELECT 1 FROM sqlite_master").fetchall()  # and no transaction
        elif not self.audit.torn:
            self.let_go()
        return clean

    def empty(self) -> None:
        import sqlite3

        with suppress(sqlite3.Error):
            with closing(open_by_uri(self._path, "rw", TRUNCATE_WAIT)) as connection:
                if truncate_wal(connection):
                    self._empty_pause = _AGAIN
            self.audit.forget()
        self._empty_again = time.monotonic() + self._empty_pause
        self._empty_pause = min(2 * self._empty_pause, _EMPTY_PAUSE)

    def _ask_for_the_writer(self) -> None:
        """Tell a writer in its COMMIT from a dead one: with a dead one, nobody writes."""
        with is_unused(self._path) as unused:
            if unused and not self.audit.look() and self.audit.ahead:
                self._blame_the_dead()

    def _remove_leftover(self) -> None:
        """Write over what a writer that died in its COMMIT has left, before that is copied."""
        before, self._leftover = self._leftover, self.audit.leftover()
        if self._leftover and self._leftover == before:
            with is_unused(self._path) as unused:
                dead = unused and self.audit.leftover() == before
            if dead:
                bump(self._path)

    def _blame_the_dead(self) -> None:
        if not self.audit.hole:
            self.audit.hole = "it holds a transaction whose writer died before the commit"

    def _tell(self, report: Callable[[str], None]) -> None:
        """Report a hole once, and note it for other processes; note once that it is mended.

        A note that failed is tried again: with the old note, no sync would ever arrive.
        """
        hole = self.audit.hole
        if bool(hole) != bool(self._noted) and note(self._lock, hole=hole):
            self._noted = hole
        if bool(hole) == bool(self._told):
            return
        self._told, self._forgotten = hole, ""
        if hole:
            report(f"{self._path}: {hole}. The whole database is copied once more")

    def _mend(self) -> None:
        newest = self.audit.newest()
        if not newest or (newest == self._forgotten and time.monotonic() < self._again):
            return
        self._forgotten, self._again = newest, time.monotonic() + self._pause
        bump(self._path)  # what a dead writer has left must not be copied again
        with suppress(OSError):
            self.audit.forget()
