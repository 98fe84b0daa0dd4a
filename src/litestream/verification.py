"""Prove that a backup restores, and that what comes back is the database."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sqlite3
import tempfile
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import quote

from litestream import (
    _arrival,
    _differences,
    _exact,
    _fetch,
    _integrity,
    _position,
    _sentinel,
    commands,
)
from litestream import _source as _sources
from litestream._staging import Staging
from litestream.errors import (
    CommandFailedError,
    CommandTimeoutError,
    CorruptBackupError,
    LitestreamError,
    NotEnoughSpaceError,
    UnusableDatabaseError,
    VerificationFailure,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from litestream._integrity import IntegrityCheck
    from litestream._run import StrPath
    from litestream._source import Source
    from litestream._watched import Progress

_BUSY = 5.0  # seconds that a writer may hold the database before a verify gives up
_ATTEMPTS = 2  # a fault that is gone at the second look was none of the backup


class Pair(TypedDict):
    """A figure of the database, and the same of its restored copy."""

    original: int
    restored: int


@dataclasses.dataclass(frozen=True)
class Verification:
    """What was proved of a backup. It is true.

    ``size`` is in bytes, ``tables`` counts tables. ``txid`` is the transaction that was waited for
    (0.5). ``exact`` says that the content was compared. Durations are in seconds: ``waited`` until
    the replica had the last commit, ``restored`` for the restore, ``seconds`` for all of it.
    ``started`` is in UTC.
    """

    database: str
    exact: bool
    integrity_check: IntegrityCheck
    size: Pair
    tables: Pair
    txid: int | None
    started: str
    waited: float
    restored: float
    seconds: float

    def __bool__(self) -> bool:
        return True


def verify(
    database: StrPath,
    *,
    timeout: float = 30.0,
    integrity_check: IntegrityCheck = "quick",
    exact: bool = False,
    replica: str | None = None,
    directory: StrPath | None = None,
    config: StrPath | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Prove that a database's backup can be restored and is up to date.

    A row is committed to the database (table ``_litestream_verification``, removed again), the
    replica is waited for until it holds that commit, restored into a private temporary directory
    and checked, and the row must be there. That does not compare the rest: damage that leaves the
    file sound and its newest row in place goes unseen, such as changes lost in the middle, or rows
    of another database mixed in.

    With ``exact`` nothing is written to the database. What is restored must be equal to what the
    database held at one transaction, not older than this call: every page, or else every row of
    every table, the schema, ``user_version`` and ``application_id``. Only that is a proof of the
    content. It takes the database's size once more in ``directory``, and while it runs the
    database's WAL grows by what is written; no writer waits for it.

    Args:
        database: The database's path, as the config has it.
        timeout: Seconds that the last commit may take to reach the replica, and that a restore may
            stand still.
        integrity_check: SQLite's check of the restored copy, as for ``commands.restore``.
        exact: Compare the content.
        replica: The replica's name (0.3, whose databases may have several).
        directory: Where the copy is restored to; the system's temporary directory by default.
        config: The config's path; see ``configure`` for where it is looked for otherwise.
        progress: Called some ten times a second, as by ``commands.restore``, and with 0 bytes
            while the commit is waited for. What it raises ends the verify.

    Raises:
        VerificationFailure: it is not proved; ``reason`` says which promise broke.
        ConfigurationError: the database is not in the config, or a replica URL.
        UnusableDatabaseError: it is missing, no SQLite database, damaged, encrypted, read-only.

    """
    source = _sources.find(database, config, replica)
    run = _Run(source, timeout, integrity_check, replica, progress)
    with _opened(source.database, timeout, exact=exact) as connection:
        _require_wal(connection, source)
        folder = os.path.abspath(directory or tempfile.gettempdir())
        try:
            with Staging(folder) as staging:
                _require_room(folder, connection, source, copies=2 if exact else 1)
                prove = run.by_content if exact else run.by_sentinel
                return prove(connection, staging)
        except OSError as error:
            if isinstance(error, LitestreamError):
                raise
            raise _failure(
                source, "unusable", f"the copy cannot be made in {folder!r}: {error}"
            ) from error


class _Run:
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

    def by_sentinel(self, connection: sqlite3.Connection, staging: Staging) -> Verification:
        """Prove that a commit of ours comes back."""
        watch = self._watch(only_new=True)
        with _unlocked(self._source), _sentinel.sentinel(connection) as token:
            end = _position.committed_end(_position.wal_path(self._source.database))
            failures = 0
            while True:
                arrival = self._wait(watch, end)
                copy = staging.file("database")
                try:
                    self._restore(staging, connection)
                    if _sentinel.is_in(copy, token):
                        return self._proved(connection, copy, arrival.txid, exact=False)
                    failure = _failure(
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
        watch = self._watch(only_new=False)
        wal = _position.wal_path(self._source.database)
        pin = _exact.Pin(connection, wal)
        failures = 0
        while True:
            arrival = self._wait(watch, pin.end)
            copy, restored = staging.file("source"), staging.file("database")
            try:
                self._restore(staging, connection)
                pin.copy(copy)
                found = {}
                if not _exact.is_equal(pin, copy, restored, wal):
                    found = _differences.differences(copy, restored)
                if not found:
                    pin.release()
                    return self._proved(connection, restored, arrival.txid, exact=True)
                failure = self._different(found, pin)
            except VerificationFailure as error:
                failure = error
            except _exact.MovedError:
                failure = _failure(
                    self._source, "busy", "its WAL was restarted while it was being compared"
                )
            failures += arrival.sure or failure.reason == "unrestorable" or pin.end is None
            if failures == _ATTEMPTS or watch.is_over():
                raise failure
            if arrival.sure:  # where it is not, the next segment decides about this very state
                pin.release()
                pin = _exact.Pin(connection, wal)
            for path in (copy, restored):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)

    def _watch(self, *, only_new: bool) -> _arrival.Watch:
        deadline = self._begun + self._timeout
        if self._progress is None:
            return _arrival.Watch(self._source, deadline, only_new=only_new)
        progress = self._progress
        return _arrival.Watch(
            self._source, deadline, only_new=only_new, pulse=lambda: progress(0, None)
        )

    def _wait(self, watch: _arrival.Watch, end: _position.WALEnd | None) -> _arrival.Arrival:
        begun = time.monotonic()
        try:
            return watch.arrival(end)
        except _arrival.NotArrivedError as error:
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
                {"replica": self._replica, "no_expand_env": self._source.no_expand_env},
                config=self._source.config,
                timeout=None,
                stall=self._timeout,
                report=(self._progress, _figures(connection)[0] if self._progress else None),
            )
            self._restored = time.monotonic() - begun
            _integrity.check(copy, self._integrity_check)
        except CorruptBackupError as error:
            details: dict[str, object] = {"problems": error.problems}
            raise _failure(self._source, "corrupt", str(error), details) from error
        except NotEnoughSpaceError as error:
            raise _failure(self._source, "unusable", str(error)) from error
        except (CommandFailedError, CommandTimeoutError) as error:
            raise _failure(self._source, "unrestorable", str(error)) from error

    def _proved(
        self, connection: sqlite3.Connection, copy: str, txid: int | None, *, exact: bool
    ) -> Verification:
        size, tables = _figures(connection)
        with _integrity.opened(copy) as restored:
            restored_size, restored_tables = _figures(restored)
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
            return _failure(
                self._source,
                "stale",
                "no daemon is replicating it (it has no WAL), and the backup is not what it holds",
                {"tables": found},
            )
        named = "; ".join(f"{name}: {how}" for name, how in found.items())
        return _failure(
            self._source,
            "different",
            f"what is restored is not what the database held at any commit since. {named}",
            {"tables": found},
        )


@contextlib.contextmanager
def _opened(path: str, timeout: float, *, exact: bool) -> Iterator[sqlite3.Connection]:
    """Open the database, which is never created; for ``exact`` only to be read."""
    if not os.path.isfile(path) or os.path.getsize(path) == 0:
        raise UnusableDatabaseError(f"There is no database at {path!r}. Is the path mistyped?")
    uri = f"file:{quote(os.fsencode(path))}?mode={'ro' if exact else 'rw'}"
    try:
        connection = sqlite3.connect(
            uri, uri=True, timeout=min(_BUSY, timeout), isolation_level=None
        )
    except sqlite3.Error as error:
        raise UnusableDatabaseError(f"The database {path!r} cannot be opened: {error}") from error
    try:
        connection.execute("PRAGMA wal_autocheckpoint=0")  # a daemon's business, not ours
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        yield connection
    except sqlite3.Error as error:
        raise UnusableDatabaseError(
            f"The database {path!r} cannot be used: {error}. Is it damaged, encrypted or "
            "read-only? (exact=True does not write)"
        ) from error
    finally:
        connection.close()


def _require_wal(connection: sqlite3.Connection, source: Source) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        raise _failure(
            source,
            "stale",
            f"no daemon is replicating it: its journal mode is {mode!r}, and Litestream changes "
            "that to WAL when it starts",
        )


def _require_room(folder: str, connection: sqlite3.Connection, source: Source, copies: int) -> None:
    needed, free = copies * _figures(connection)[0], shutil.disk_usage(folder).free
    if free < needed:
        raise _failure(
            source,
            "unusable",
            f"restoring it takes {needed} bytes, and {free} are free in {folder!r}. Make room, or "
            "pass directory=",
        )


@contextlib.contextmanager
def _unlocked(source: Source) -> Iterator[None]:
    """Turn SQLite's "locked" into the failure that says so."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise _failure(
            source, "busy", f"a writer has held the database for longer than {_BUSY:g} s"
        ) from error


def _figures(connection: sqlite3.Connection) -> tuple[int, int]:
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
    last = _arrival.last_replicated(source)
    if last is None:
        return _failure(source, "stale", f"{message}. The replica shows no backup")
    position, created = last
    moment = datetime.fromisoformat(created.replace("Z", "+00:00"))
    age = round((datetime.now(timezone.utc) - moment).total_seconds())
    return _failure(
        source,
        "stale",
        f"{message}. The newest change in the replica ({position}) is {age} s old",
        {"position": position, "age": age},
    )


def _failure(
    source: Source, reason: str, message: str, details: dict[str, object] | None = None
) -> VerificationFailure:
    return VerificationFailure(source.database, reason, message, details)


def verify_all(
    config: StrPath | None = None,
    jobs: int = 4,
    *,
    timeout: float = 30.0,
    integrity_check: IntegrityCheck = "quick",
    exact: bool = False,
    directory: StrPath | None = None,
) -> list[Verification | VerificationFailure]:
    """Verify every database of the config, ``jobs`` at a time, and return what came of each.

    One that fails never hides another: failures are returned, in the config's order, and are
    false. All are proved when ``all(verify_all())``, and there is at least one.

    Raises:
        ConfigurationError, CommandFailedError: the config cannot be read.

    """
    return list(
        each(
            [row["path"] for row in commands.databases(config=config)],
            jobs,
            timeout=timeout,
            integrity_check=integrity_check,
            exact=exact,
            directory=directory,
            config=config,
        )
    )


def each(
    databases: Sequence[StrPath],
    jobs: int,
    *,
    progress: Callable[[StrPath, int, int | None], object] = lambda *_: None,
    **options: Any,
) -> Iterator[Verification | VerificationFailure]:
    """Verify some databases side by side, and yield what came of each, in their order.

    An exception in the consumer, Ctrl-C for one, ends those that run and cleans up after them.
    """
    import threading
    from concurrent.futures import ThreadPoolExecutor

    stopped = threading.Event()

    def one(database: StrPath) -> Verification | VerificationFailure:
        def report(written: int, expected: int | None) -> None:
            if stopped.is_set():
                raise KeyboardInterrupt
            progress(database, written, expected)

        return _outcome(database, progress=report, **options)

    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        futures = [pool.submit(one, database) for database in databases]
        try:
            for future in futures:
                yield future.result()
        finally:
            stopped.set()
            for future in futures:
                future.cancel()


def _outcome(database: StrPath, **options: Any) -> Verification | VerificationFailure:
    try:
        return verify(database, **options)
    except VerificationFailure as failure:
        return failure
    except LitestreamError as error:
        unusable = VerificationFailure(os.fspath(database), "unusable", str(error))
        unusable.__cause__ = error
        return unusable
