"""Prove one backup: by a commit of ours that comes back, or by its content."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from litestream import (
    _arrival,
    _differences,
    _exact,
    _fetch,
    _integrity,
    _position,
    _sentinel,
)
from litestream._outcome import Verification
from litestream.errors import (
    CommandFailedError,
    CommandTimeoutError,
    CorruptBackupError,
    LitestreamError,
    NotEnoughSpaceError,
    VerificationFailure,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from litestream._integrity import IntegrityCheck
    from litestream._source import Source
    from litestream._staging import Staging
    from litestream._watched import Progress

BUSY = 5.0
"""Seconds that a writer may hold the database before a verify gives up."""

_LOOK = 0.1  # seconds between two calls of progress
_ATTEMPTS = 2  # a fault that is gone at the second look was none of the backup


class Proof:
    """One verify: its arguments, and the durations that it measures."""

    def __init__(
        self,
        source: Source,
        timeout: float,
        integrity_check: IntegrityCheck,
        replica: str | None,
        progress: Progress | None,
    ) -> None:
        self._source = source
        self._timeout = timeout
        self._integrity_check = integrity_check
        self._replica = replica
        self._progress = progress
        self._started = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._begun = time.monotonic()
        self._waited = self._restored = 0.0
        self._size = 0
        self._told = 0.0

    def by_sentinel(self, connection: sqlite3.Connection, staging: Staging) -> Verification:
        """Prove that a commit of ours comes back."""
        watch = self._watch(only_new=True, touch=lambda: _sentinel.touch(connection))
        with (
            _unlocked(self._source, min(BUSY, self._timeout)),
            _sentinel.sentinel(connection) as token,
        ):
            end = _position.committed_end(_position.wal_path(self._source.database))
            failures = 0
            while True:
                arrival = self._wait(watch, end)
                copy = staging.file("database")
                try:
                    self._restore(staging, connection)
                    if _sentinel.is_in(copy, token):
                        return self._proved(connection, copy, arrival.txid, exact=False)
                    failure = failure_of(
                        self._source,
                        "different",
                        "the row that was written for this verify reached the replica, and is "
                        "not in what is restored: that is another database, or an older state",
                    )
                except VerificationFailure as error:
                    failure = error
                failures += arrival.sure or failure.reason != "different"
                if failures == _ATTEMPTS:
                    raise failure
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(copy)

    def by_content(self, connection: sqlite3.Connection, staging: Staging) -> Verification:
        """Prove that what comes back is what the database held at one commit."""
        watch = self._watch(only_new=False, touch=lambda: None)
        wal = _position.wal_path(self._source.database)
        pin = _exact.Pin(connection, wal, self._interrupt)
        failures = 0
        while True:
            arrival = self._wait(watch, pin.end)
            copy, restored = staging.file("source"), staging.file("database")
            try:
                self._restore(staging, connection)
                pin.copy(copy)
                found = {}
                if not _exact.is_equal(pin, copy, restored, wal):
                    found = _differences.differences(copy, restored, self._interrupt)
                if not found:
                    pin.release()
                    return self._proved(connection, restored, arrival.txid, exact=True)
                failure = self._different(found, pin)
            except VerificationFailure as error:
                failure = error
            except _exact.MovedError:
                failure = failure_of(
                    self._source, "busy", "its WAL was restarted while it was being compared"
                )
            failures += arrival.sure or failure.reason == "unrestorable" or pin.end is None
            if failures == _ATTEMPTS or watch.is_over():
                raise failure
            if arrival.sure:  # where it is not, the next segment decides about this very state
                pin.release()
                pin = _exact.Pin(connection, wal, self._interrupt)
            for path in (copy, restored):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)

    def _watch(self, *, only_new: bool, touch: Callable[[], object]) -> _arrival.Watch:
        def pulse() -> None:
            if self._progress is not None:
                self._progress(0, None)

        source, deadline = self._source, self._begun + self._timeout
        if len(source.replicas) > 1:  # the executable chooses one to restore from
            source = source._replace(replicas=[])
        return _arrival.Watch(source, deadline, only_new=only_new, pulse=pulse, touch=touch)

    def _wait(self, watch: _arrival.Watch, end: _position.WALEnd | None) -> _arrival.Arrival:
        if end is None:  # no WAL: everything is in the database, and so in its backup
            return _arrival.Arrival(sure=False)
        begun = time.monotonic()
        try:
            return watch.arrival(end)
        except _arrival.NotArrivedError as error:
            self._source.require_valid()
            raise _stale(self._source, self._timeout, taken_up=error.local) from None
        finally:
            self._waited += time.monotonic() - begun

    def _restore(self, staging: Staging, connection: sqlite3.Connection) -> None:
        """Restore into ``staging`` and check the copy.

        Raises:
            VerificationFailure: the reason is ``"unrestorable"``, ``"corrupt"`` or ``"unusable"``.

        """
        begun = time.monotonic()
        try:
            copy = _fetch.fetch(
                self._source.database,
                staging,
                {"replica": self._replica, **self._source.flags},
                config=self._source.config,
                stall=self._timeout,
                report=(self._progress, figures(connection)[0] if self._progress else None),
            )
            self._restored = time.monotonic() - begun
            self._size = os.path.getsize(copy)
            _integrity.check(copy, self._integrity_check, self._interrupt)
        except CorruptBackupError as error:
            details: dict[str, object] = {"problems": error.problems}
            raise failure_of(self._source, "corrupt", str(error), details) from error
        except NotEnoughSpaceError as error:
            raise failure_of(self._source, "unusable", str(error)) from error
        except (CommandFailedError, CommandTimeoutError) as error:
            raise failure_of(self._source, "unrestorable", str(error)) from error

    def _interrupt(self) -> None:
        """Let ``progress`` end a check or a comparison, some ten times a second."""
        now = time.monotonic()
        if self._progress is not None and now - self._told >= _LOOK:
            self._told = now
            self._progress(self._size, self._size)

    def _proved(
        self, connection: sqlite3.Connection, copy: str, txid: int | None, *, exact: bool
    ) -> Verification:
        size, tables = figures(connection)
        with _integrity.opened(copy) as restored:
            restored_size, restored_tables = figures(restored)
        return Verification(
            database=self._source.database,
            exact=exact,
            integrity_check=self._integrity_check,
            size={"original": size, "restored": restored_size},
            tables={"original": tables, "restored": restored_tables},
            txid=txid,
            started=self._started,
            waited=round(self._waited, 3),
            restored=round(self._restored, 3),
            seconds=round(time.monotonic() - self._begun, 3),
        )

    def _different(self, found: dict[str, str], pin: _exact.Pin) -> VerificationFailure:
        if pin.end is None:
            return failure_of(
                self._source,
                "stale",
                "no daemon is replicating it (it has no WAL), and the backup is not what it holds",
                {"tables": found},
            )
        named = "; ".join(f"{name}: {how}" for name, how in found.items())
        return failure_of(
            self._source,
            "different",
            f"what is restored is not what the database held at any commit since. {named}",
            {"tables": found},
        )


@contextlib.contextmanager
def _unlocked(source: Source, seconds: float) -> Iterator[None]:
    """Turn SQLite's "locked" into the failure that says so."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise failure_of(
            source, "busy", f"a writer has held the database for longer than {seconds:g} s"
        ) from error


def figures(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return a database's size in bytes and the number of its tables."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    (tables,) = connection.execute(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"
    ).fetchone()
    return pages * page_size, tables


def _stale(source: Source, timeout: float, *, taken_up: bool) -> VerificationFailure:
    """Describe a commit that did not reach the replica."""
    if taken_up:
        message = (
            f"a daemon took up its last commit, but the replica did not get it within {timeout:g} "
            "s. Does the replica's endpoint answer? See the daemon's log"
        )
    else:
        message = (
            f"no daemon is replicating it: none took up its last commit within {timeout:g} s. "
            "Start one; if one runs, see its log"
        )
    try:
        last = _arrival.last_replicated(source)
    except LitestreamError as error:
        return failure_of(source, "stale", f"{message}. The replica cannot be asked: {error}")
    if last is None:
        return failure_of(source, "stale", f"{message}. The replica shows no backup")
    position, created = last
    moment = datetime.fromisoformat(created.replace("Z", "+00:00"))
    age = round((datetime.now(timezone.utc) - moment).total_seconds())
    return failure_of(
        source,
        "stale",
        f"{message}. The newest change in the replica ({position}) is {age} s old",
        {"position": position, "age": age},
    )


def failure_of(
    source: Source, reason: str, message: str, details: dict[str, object] | None = None
) -> VerificationFailure:
    return VerificationFailure(source.database, reason, message, details)
