"""Prove one backup: by a commit of ours that comes back, or by its content."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from litestream._database import integrity
from litestream._database import wal as wal_file
from litestream._database.files import wal_path
from litestream._durability.goal import Arrival
from litestream._durability.watch import NotArrivedError, Watch
from litestream._executable import listings, side_by_side
from litestream._restore.fetch import fetch
from litestream._verification import (
    by_sentinel,
    failures,
    page_comparison,
    past,
    result,
    table_differences,
)
from litestream._verification.failures import different, explained, failure_of, stale, unlocked
from litestream._verification.result import Verification
from litestream.errors import LitestreamError, UnusableDatabaseError, VerificationFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from litestream._config.config import Database
    from litestream._database.integrity import IntegrityCheck
    from litestream._executable.run import Progress
    from litestream._restore.staging import Staging
    from litestream._verification.result import Gap

_LOOK = 0.1  # seconds between two calls of progress
_ATTEMPTS = 2  # a fault that is gone at the second look was none of the backup


class Proof:
    """One verify: its arguments, and the durations that it measures."""

    def __init__(
        self,
        database: Database,
        timeout: float,
        integrity_check: IntegrityCheck,
        progress: Progress | None,
    ) -> None:
        self._database = database
        self._timeout = timeout
        self._patience = timeout + database.interval + database.monitor_interval
        self._integrity_check = integrity_check
        self._progress = progress
        self._started = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._begun = time.monotonic()
        self._waited = self._restored = 0.0
        self._size = 0
        self._told = 0.0

    def by_sentinel(self, connection: sqlite3.Connection, staging: Staging) -> Verification:
        """Prove that a commit of ours comes back, from every replica."""
        token = by_sentinel.new_token()

        def touch() -> None:
            by_sentinel.touch(connection, token)

        watches = [  # from before the commit
            (database, self._watch(database, touch, only_new=True))
            for database in self._database.each_replica()
        ]
        with (
            unlocked(self._database, min(result.BUSY, self._timeout)),
            by_sentinel.sentinel(connection, token),
        ):
            end = wal_file.committed_end(wal_path(self._database.path))
            for database, watch in watches:
                attempt = partial(self._restore_with, token, database, staging, connection)
                txid, copy = self._repeated(database, watch, lambda _: end, attempt)
            return self._proved(connection, copy, txid, exact=False)

    def _restore_with(
        self, token: bytes, database: Database, staging: Staging, connection: sqlite3.Connection
    ) -> str:
        """Restore a copy that holds the row, and return its path."""
        copy = self._restore(database, staging, connection)
        if by_sentinel.is_in(copy, token):
            return copy
        raise failure_of(
            database,
            "different",
            "the row that was written for this verify reached the replica, and is not in what is "
            "restored: that is another database, or an older state",
        )

    def by_content(self, connection: sqlite3.Connection, staging: Staging) -> Verification:
        """Prove that what comes back is what the database held at one commit."""
        for database in self._database.each_replica():
            txid, copy = self._equal(database, connection, staging)
        return self._proved(connection, copy, txid, exact=True)

    def _equal(
        self, database: Database, connection: sqlite3.Connection, staging: Staging
    ) -> tuple[int | None, str]:
        wal = wal_path(database.path)
        watch = self._watch(database, lambda: None, only_new=False)
        pin = page_comparison.Pin(connection, wal, self._interrupt)

        def end(anew: bool) -> wal_file.WALEnd | None:
            nonlocal pin
            if anew:  # else the next segment decides about this very state
                pin.release()
                pin = page_comparison.Pin(connection, wal, self._interrupt)
            return pin.end

        def attempt() -> str:
            restored = self._restore(database, staging, connection)
            copy = staging.file("source")
            pin.copy(copy)
            try:
                if page_comparison.is_equal(pin, copy, restored, wal):
                    return restored
            except page_comparison.MovedError:
                moved = "its WAL was restarted while it was being compared"
                raise failure_of(database, "busy", moved) from None
            found = table_differences.differences(copy, restored, self._interrupt)
            raise different(database, found, pin)

        proved = self._repeated(database, watch, end, attempt)
        pin.release()
        return proved

    def of_past(
        self, timestamp: str, connection: sqlite3.Connection, staging: Staging
    ) -> Verification:
        """Prove that what was in every replica at a time comes back, and is sound."""
        for database in self._database.each_replica():
            with side_by_side.turn(), explained(database):
                for gap in past.gaps(database, self._patience):
                    if past.lies_in(timestamp, gap):
                        raise failure_of(
                            database,
                            "unrestorable",
                            f"changes between {gap['start']} and {gap['end']} are missing in the "
                            "replica: what is restored for a time between them is older",
                        )
                copy = self._restore(database, staging, connection, timestamp)
        return self._proved(connection, copy, None, exact=False, timestamp=timestamp)

    def _repeated(
        self,
        database: Database,
        watch: Watch,
        end: Callable[[bool], wal_file.WALEnd | None],
        attempt: Callable[[], str],
    ) -> tuple[int | None, str]:
        """Wait for ``end(anew)`` and try, until it succeeds or nothing more can be expected.

        Where only the restored copy can tell whether it came too early, that is until the deadline.
        Otherwise a failure counts, and the second one is believed.
        """
        failures, anew = 0, False
        while True:
            place = end(anew)
            arrival = self._wait(database, watch, place)
            try:
                with side_by_side.turn() as seconds, explained(database):
                    watch.postpone(seconds)
                    return arrival.txid, attempt()
            except VerificationFailure as error:
                failure = error
            anew = arrival.sure or place is None or failure.reason != "different"
            failures += anew
            if failures == _ATTEMPTS or (not anew and watch.is_over()):
                raise failure
            if anew:
                watch.renew(time.monotonic() + self._patience)

    def _watch(self, database: Database, touch: Callable[[], object], *, only_new: bool) -> Watch:
        def pulse() -> None:
            if self._progress is not None:
                self._progress(0, None)

        deadline = time.monotonic() + self._patience
        return Watch(database, deadline, only_new=only_new, pulse=pulse, touch=touch)

    def _wait(self, database: Database, watch: Watch, end: wal_file.WALEnd | None) -> Arrival:
        if end is None:  # no WAL: everything is in the database, and so in its backup
            return Arrival(sure=False)
        begun = time.monotonic()
        try:
            return watch.arrival(end)
        except NotArrivedError as error:
            if error.hole:
                raise failures.failure_of(
                    database,
                    "different",
                    f"what is in the replica is not what was committed: {error.hole}. Replication "
                    "mends that by itself; start any other daemon again by it",
                ) from None
            listings.require_valid(database.config)
            raise stale(database, self._patience, taken_up=error.local) from None
        finally:
            self._waited += time.monotonic() - begun

    def _restore(
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
            stall=self._timeout,
            report=(self._progress, result.figures(connection)[0] if self._progress else None),
        )
        self._restored += time.monotonic() - begun
        self._size = os.path.getsize(copy)
        integrity.check(copy, self._integrity_check, self._interrupt)
        return copy

    def _interrupt(self) -> None:
        """Let ``progress`` end a check or a comparison, some ten times a second."""
        now = time.monotonic()
        if self._progress is not None and now - self._told >= _LOOK:
            self._told = now
            self._progress(self._size, self._size)

    def _gaps(self) -> list[Gap] | None:
        found: list[Gap] = []
        with contextlib.suppress(LitestreamError):
            for database in self._database.each_replica():
                found += past.gaps(database, self._patience)
            return found
        return None

    def _proved(
        self,
        connection: sqlite3.Connection,
        copy: str,
        txid: int | None,
        *,
        exact: bool,
        timestamp: str | None = None,
    ) -> Verification:
        with side_by_side.turn():
            gaps = self._gaps()
        size, tables = result.figures(connection)
        with explained(self._database), integrity.opened(copy) as restored:
            restored_size, restored_tables = result.figures(restored)
        return Verification(
            database=self._database.path,
            exact=exact,
            integrity_check=self._integrity_check,
            size={"original": size, "restored": restored_size},
            tables={"original": tables, "restored": restored_tables},
            txid=txid,
            replicas=self._database.names,
            started=self._started,
            waited=round(self._waited, 3),
            restored=round(self._restored, 3),
            seconds=round(time.monotonic() - self._begun, 3),
            timestamp=timestamp,
            gaps=gaps,
        )


@contextlib.contextmanager
def opened(path: str, timeout: float, *, silent: bool) -> Iterator[sqlite3.Connection]:
    """Open the database, which is never created; where it is ``silent`` only to be read.

    The last connection to close removes the WAL, one that may only read leaves an empty one behind.
    """
    if not os.path.isfile(path) or os.path.getsize(path) == 0:
        raise UnusableDatabaseError(f"There is no database at {path!r}. Is the path mistyped?")
    read_only = silent and os.path.exists(wal_path(path))
    uri = f"file:{quote(os.fsencode(path))}?mode={'ro' if read_only else 'rw'}"
    try:
        connection = sqlite3.connect(
            uri, uri=True, timeout=min(result.BUSY, timeout), isolation_level=None
        )
    except sqlite3.Error as error:
        raise UnusableDatabaseError(f"The database {path!r} cannot be opened: {error}") from error
    try:
        connection.execute("PRAGMA wal_autocheckpoint=0")  # a daemon's business, not ours
        # a process that is killed in a COMMIT with FULL leaves frames that only Litestream reads
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA query_only={int(silent)}")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        yield connection
    except sqlite3.Error as error:
        what = "Is it damaged, encrypted or read-only? (exact=True does not write)"
        if "full" in str(error):
            what = "Make room" if silent else "Make room, or pass exact=True, which does not write"
        raise UnusableDatabaseError(
            f"The database {path!r} cannot be used: {error}. {what}"
        ) from error
    finally:
        connection.close()


def require_wal(connection: sqlite3.Connection, database: Database) -> None:
    """Refuse a database that no daemon has put into WAL mode."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        raise failures.failure_of(
            database,
            "stale",
            f"no daemon is replicating it: its journal mode is {mode!r}, and Litestream changes "
            "that to WAL when it starts",
        )


def require_room(
    folder: str, connection: sqlite3.Connection, database: Database, copies: int
) -> None:
    """Refuse a directory that has no room for the copies."""
    needed, free = copies * result.figures(connection)[0], shutil.disk_usage(folder).free
    if free < needed:
        raise failures.failure_of(
            database,
            "unusable",
            f"restoring it takes {needed} bytes, and {free} are free in {folder!r}. Make room, or "
            "pass directory=",
        )
