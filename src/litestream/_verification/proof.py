"""The steps that the proofs share: wait for the replica, restore, check, and try once more."""

from __future__ import annotations

import contextlib
import os
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from litestream._database import integrity
from litestream._database import wal as wal_file
from litestream._durability.goal import Arrival
from litestream._durability.watch import NotArrivedError, Watch
from litestream._executable import listings, side_by_side
from litestream._restore.fetch import fetch
from litestream._verification import lookout, past, result
from litestream._verification.failures import explained, lacks, stale, unreplicated
from litestream._verification.result import Verification
from litestream.errors import LitestreamError, VerificationFailure

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from litestream._config.database import Database
    from litestream._database.integrity import IntegrityCheck
    from litestream._executable.run import Progress
    from litestream._restore.staging import Staging
    from litestream._verification.result import Gap

_LOOK = 0.1  # seconds between two calls of progress
_ATTEMPTS = 2  # retry once: a fault that does not recur was not in the backup


class ProvedCopy(NamedTuple):
    """A restored copy that passed: its path, and the transaction that the wait was for (0.5)."""

    copy: str
    txid: int | None


class Proof:
    """One verify: its arguments, and the durations that it measures.

    ``patience`` is the number of seconds in which the replica must have a commit.
    """

    def __init__(
        self,
        database: Database,
        timeout: float,
        integrity_check: IntegrityCheck,
        progress: Progress | None,
    ) -> None:
        self.database = database
        self.timeout = timeout
        self.patience = timeout + database.interval + database.monitor_interval
        self._integrity_check = integrity_check
        self._progress = progress
        self._started = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._begun = time.monotonic()
        self._waited = self._restored = 0.0
        self._size = 0
        self._told = 0.0

    def repeated(
        self,
        database: Database,
        watch: Watch,
        end: Callable[[bool], wal_file.WALEnd | None],
        attempt: Callable[[], str],
    ) -> ProvedCopy:
        """Wait for ``end(anew)`` and attempt a restore, again and again until one passes.

        If only the restored copy can show that it came too early, repeat until the deadline.
        Otherwise each failure counts, and the second one is final.
        """
        failures, anew = 0, False
        while True:
            place = end(anew)
            arrival = self._wait(database, watch, place)
            try:
                with side_by_side.turn() as seconds, explained(database):
                    watch.postpone(seconds)
                    return ProvedCopy(attempt(), arrival.txid)
            except VerificationFailure as error:
                failure = error
            anew = arrival.sure or place is None or failure.reason != "different"
            failures += anew
            if failure.reason == "unusable":  # of this host, and no fault of the backup
                raise failure
            if failures == _ATTEMPTS or (not anew and watch.is_over()):
                raise failure
            if place is None:
                self._let_a_daemon_begin(database)
            if anew:
                watch.renew(time.monotonic() + self.patience)

    def _let_a_daemon_begin(self, database: Database) -> None:
        """Wait a moment for a WAL: a daemon opens its databases some time after its start."""
        path = wal_file.wal_path(database.path)
        deadline = time.monotonic() + lookout.opening(database)
        while wal_file.committed_end(path) is None and time.monotonic() < deadline:
            self.interrupt()
            time.sleep(_LOOK)

    def watch(
        self, database: Database, touch: Callable[[], object] = lambda: None, *, only_new: bool
    ) -> Watch:
        """Begin to watch a replica; ``only_new`` as for `Watch`.

        The wait ends early if nothing replicates the database.
        """
        daemon = lookout.Lookout(database)

        def pulse() -> None:
            if self._progress is not None:
                self._progress(0, None)
            if daemon.sees_none():
                watch.give_up()

        deadline = time.monotonic() + self.patience
        watch = Watch(database, deadline, only_new=only_new, pulse=pulse, touch=touch)
        return watch

    def _wait(self, database: Database, watch: Watch, end: wal_file.WALEnd | None) -> Arrival:
        if end is None:  # no WAL: everything is in the database, and so in its backup
            return Arrival(sure=False)
        begun = time.monotonic()
        try:
            return watch.arrival(end)
        except NotArrivedError as error:
            if error.hole:
                raise lacks(database, error.hole) from None
            listings.require_valid(database.config)
            if watch.given_up:
                raise unreplicated(database) from None
            raise stale(database, self.patience, taken_up=error.local) from None
        finally:
            self._waited += time.monotonic() - begun

    def restore(
        self,
        database: Database,
        staging: Staging,
        connection: sqlite3.Connection,
        timestamp: str | None = None,
    ) -> str:
        """Restore into ``staging``, check the copy and return its path."""
        for name in ("source", "database"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(staging.file(name))
        begun = time.monotonic()
        copy = fetch(
            database.path,
            staging,
            {"replica": database.replica, "timestamp": timestamp},
            config=database.config,
            stall=self.timeout,
            report=(self._progress, result.figures(connection)[0] if self._progress else None),
        )
        self._restored += time.monotonic() - begun
        self._size = os.path.getsize(copy)
        integrity.check(copy, self._integrity_check, self.interrupt)
        return copy

    def interrupt(self) -> None:
        """Let ``progress`` end a check or a comparison, some ten times a second."""
        now = time.monotonic()
        if self._progress is not None and now - self._told >= _LOOK:
            self._told = now
            self._progress(self._size, self._size)

    def _gaps(self) -> list[Gap] | None:
        found: list[Gap] = []
        with contextlib.suppress(LitestreamError):
            for database in self.database.each_replica():
                found += past.gaps(database, self.patience)
            return found
        return None

    def result(
        self,
        connection: sqlite3.Connection,
        proved: ProvedCopy,
        *,
        exact: bool,
        timestamp: str | None = None,
    ) -> Verification:
        """Describe what was proved, and list the gaps in the past."""
        with side_by_side.turn():
            gaps = self._gaps()
        size, tables = result.figures(connection)
        with explained(self.database), integrity.opened(proved.copy) as restored:
            restored_size, restored_tables = result.figures(restored)
        return Verification(
            database=self.database.path,
            exact=exact,
            integrity_check=self._integrity_check,
            size={"original": size, "restored": restored_size},
            tables={"original": tables, "restored": restored_tables},
            txid=proved.txid,
            replicas=self.database.names,
            started=self._started,
            waited=round(self._waited, 3),
            restored=round(self._restored, 3),
            seconds=round(time.monotonic() - self._begun, 3),
            timestamp=timestamp,
            gaps=gaps,
        )
