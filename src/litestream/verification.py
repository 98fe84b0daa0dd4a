"""Prove that a backup restores, and that the restored copy is the database."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import TYPE_CHECKING, Any

from litestream import _settings
from litestream._config.database import database_of
from litestream._config.paths import is_url, refuse_url
from litestream._database import integrity
from litestream._database.permissions import lacking
from litestream._executable import side_by_side
from litestream._executable.arguments import loaded, require_positive
from litestream._executable.series import require_known_files, require_series
from litestream._restore.point_in_time import moment
from litestream._restore.staging import Staging
from litestream._verification import by_content, by_sentinel, by_timestamp, failures, record
from litestream._verification.original import opened, require_room, require_wal
from litestream._verification.proof import Proof
from litestream._verification.result import Gap, Outcome, Verification
from litestream.errors import (
    ConfigurationError,
    LitestreamError,
    UnusableDatabaseError,
    VerificationFailure,
)
from litestream.rows import Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from datetime import datetime

    from litestream._config.config import ConfigArgument
    from litestream._config.database import Database
    from litestream._config.paths import StrPath
    from litestream._database.integrity import IntegrityCheck
    from litestream._executable.run import Progress

_WAITING = 60
"""Databases whose commits are waited for, besides those that are restored or compared."""
_PINNED = 6
"""The same with ``exact``, where the WAL of each is not restarted meanwhile."""

__all__ = ["Gap", "Outcome", "Pair", "Verification", "verify", "verify_all"]


def verify(
    database: StrPath = "",
    *,
    timeout: float = 30.0,
    integrity_check: IntegrityCheck = "quick",
    exact: bool = False,
    timestamp: datetime | str | None = None,
    replica: str | None = None,
    directory: StrPath | None = None,
    config: ConfigArgument = None,
    expand_env: bool = True,
    progress: Progress | None = None,
) -> Verification:
    """Prove that a database's backup can be restored and is up to date.

    The newest state is proved. A time in the past that the replica can no longer restore is no
    failure; it is in ``gaps`` of the result.

    A row is committed to the database (table ``_litestream_verification``, which stays; the row
    is removed again). When the replica holds that commit, the backup is restored into a private
    temporary directory and checked, and the row must be there. The other rows are not compared:
    this does not find damage that leaves the file sound and its newest row in place, such as
    changes lost in the middle, or rows of another database mixed in.

    With ``exact`` nothing is written to the database. The restored copy must equal the database at
    one transaction, not older than this call: every page, or else every row of every table, the
    schema, ``user_version`` and ``application_id``. Only that proves the content. The comparison
    takes the database's size once more in ``directory``, and the WAL is not restarted meanwhile; no
    writer waits.

    With ``timestamp`` nothing is written either: the state that the replica held at that time must
    restore, without a gap before it, and be sound. There is nothing left to compare it with, so
    ``exact`` is refused.

    The outcome is recorded beside the database (see ``history``).

    Args:
        database: The database's path, as the config has it.
        timeout: Seconds that the last commit may take to reach the replica, besides the config's
            ``monitor-interval`` and ``sync-interval``, and that a restore may stand still.
        integrity_check: SQLite's check of the restored copy, as for ``commands.restore``.
        exact: Compare the content.
        timestamp: A time in the past to prove, as for ``commands.restore``.
        replica: The name of the replica to prove (0.3); every one of the database by default.
        directory: Where the copy is restored to; the system's temporary directory by default.
        config: The config's path, or a mapping; see ``configure``.
        expand_env: Replace ``$NAME`` in the config, as Litestream does without ``-no-expand-env``.
        progress: Called some ten times a second, as by ``commands.restore``: with 0 bytes until
            the commit is in the replica, and with the full number of bytes while the copy is
            checked and compared. If it raises an exception, the verify ends.

    Raises:
        VerificationFailure: the backup is not proved; ``reason`` says which promise broke.
        ConfigurationError: the database is not in the config, or a replica URL; ``timestamp`` has
            not come yet, or ``exact`` is given with it.
        CommandFailedError: the executable does not accept the config.
        UnusableDatabaseError: the database is missing, no SQLite database, damaged, encrypted or
            read-only.

    """
    integrity.require_known(integrity_check)
    require_positive(timeout)
    require_known_files()
    if database == "":
        raise TypeError("verify() proves one database: name it. For all of them: verify_all()")
    refuse_url(database)
    if exact and timestamp is not None:
        raise ConfigurationError(
            "exact= compares with what the database holds now. Leave it out to prove a timestamp="
        )
    past = None if timestamp is None else moment(timestamp)
    if replica is not None:
        require_series("0.3", "replica= (0.5 has one replica for each database)")
    with loaded(config, expand_env=expand_env) as where:
        found = database_of(where, database, replica)
        with record.kept(found, exact=exact, past=past is not None) as kept:
            failures.require_set(found)
            proof = Proof(found, timeout, integrity_check, progress)
            folder = os.path.abspath(directory or tempfile.gettempdir())
            kept.proved = _proved(proof, found, folder, timeout, exact=exact, past=past)
            return kept.proved


def _proved(
    proof: Proof, found: Database, folder: str, timeout: float, *, exact: bool, past: str | None
) -> Verification:
    silent = exact or past is not None
    with opened(found.path, timeout, silent=silent) as connection:
        if past is None:
            require_wal(connection, found)
        try:
            with Staging(folder) as staging:
                require_room(folder, connection, found, copies=2 if exact else 1)
                if past is not None:
                    return by_timestamp.prove(proof, past, connection, staging)
                if exact:
                    return by_content.prove(proof, connection, staging)
                return by_sentinel.prove(proof, connection, staging)
        except OSError as error:
            if isinstance(error, LitestreamError):
                raise
            if lack := lacking(found.path, found.meta, found.folders or (), write=False):
                message = f"The database {found.path!r} cannot be verified: {lack}"
                raise UnusableDatabaseError(message) from error
            advice = "Pass directory="
            if error.errno in (errno.EMFILE, errno.ENFILE):
                advice = "Raise the limit of open files (ulimit -n, LimitNOFILE= in systemd)"
            raise failures.failure_of(
                found, "unusable", f"the copy cannot be made in {folder!r}: {error}. {advice}"
            ) from error


def verify_all(
    config: ConfigArgument = None,
    jobs: int = 4,
    *,
    timeout: float = 30.0,
    integrity_check: IntegrityCheck = "quick",
    exact: bool = False,
    timestamp: datetime | str | None = None,
    replica: str | None = None,
    directory: StrPath | None = None,
    expand_env: bool = True,
) -> list[Outcome]:
    """Verify every database of the config, and return the outcome of each.

    ``jobs`` copies are restored and checked at a time; meanwhile the commits of the next databases
    are waited for.

    A failure never hides another one: there is an ``Outcome`` for each database, in the config's
    order, true if its backup is proved. ``all(verify_all())`` is true if every backup is proved.

    Raises:
        ConfigurationError: the config cannot be read, or names no database.

    """
    with loaded(config, expand_env=expand_env) as found:
        databases = [*found.paths, *found.unusable]
        if not databases:
            raise ConfigurationError(
                "The config names no database, so nothing is proved. Add one to its 'dbs:' list"
            )
        return list(
            each(
                databases,
                jobs,
                timeout=timeout,
                integrity_check=integrity_check,
                exact=exact,
                timestamp=timestamp,
                replica=replica,
                directory=directory,
                config=found,
            )
        )


def each(
    databases: Sequence[StrPath],
    jobs: int,
    *,
    config: ConfigArgument = None,
    progress: Callable[[StrPath, int, int | None], object] = lambda *_: None,
    **options: Any,
) -> Generator[Outcome, None, None]:
    """Verify some databases side by side, and yield the outcome of each, in their order.

    An exception in the consumer, such as Ctrl-C, ends the proofs that run, and cleans up.
    """

    def one(database: StrPath) -> Outcome:
        def report(written: int, expected: int | None) -> None:
            side_by_side.require_wanted()
            progress(database, written, expected)

        return _outcome(database, progress=report, config=config, **options)

    waiting = _PINNED if options.get("exact") else _WAITING
    yield from side_by_side.results(one, databases, jobs, waiting=waiting)


def _outcome(database: StrPath, **options: Any) -> Outcome:
    try:
        proved = verify(database, **options)
    except VerificationFailure as failure:
        return Outcome(failure.database, failure=failure)
    except LitestreamError as error:
        name = _settings.masked(os.fsdecode(database))
        path = name if is_url(database) else os.path.abspath(name)
        unusable = VerificationFailure(path, "unusable", str(error))
        unusable.__cause__ = error
        return Outcome(path, failure=unusable)
    return Outcome(proved.database, proved)
