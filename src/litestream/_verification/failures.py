"""Say which promise of a backup broke, and how."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from litestream._config import variables
from litestream._database.permissions import lacking
from litestream._executable.listings import last_replicated
from litestream.errors import (
    CommandFailedError,
    CommandTimeoutError,
    CorruptBackupError,
    LitestreamError,
    NotEnoughSpaceError,
    VerificationFailure,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestream._config.database import Database
    from litestream._verification import page_comparison
    from litestream.errors import Reason

_HARDLY_ANY = 1 << 16
"""Bytes: with less, a file system counts as full."""


def different(
    database: Database, found: dict[str, str], pin: page_comparison.Pin
) -> VerificationFailure:
    """Describe a restored copy that differs; ``found`` says how, table by table."""
    if pin.end is None:
        message = "no daemon is replicating it (it has no WAL), and it differs from the backup"
        return failure_of(database, "stale", message + _forbidden(database), {"tables": found})
    named = "; ".join(f"{name}: {how}" for name, how in found.items())
    return failure_of(
        database,
        "different",
        "the restored copy does not equal the database at any commit since this attempt began. "
        + named,
        {"tables": found},
    )


@contextlib.contextmanager
def explained(database: Database) -> Iterator[None]:
    """Turn an error of a restore, or of the restored copy, into a VerificationFailure."""
    try:
        yield
    except CorruptBackupError as error:
        details: dict[str, object] = {"problems": error.problems}
        raise failure_of(database, "corrupt", str(error), details) from error
    except NotEnoughSpaceError as error:
        message = f"{error}. Make room, or pass directory="
        raise failure_of(database, "unusable", message) from error
    except (CommandFailedError, CommandTimeoutError) as error:
        raise failure_of(database, "unrestorable", str(error)) from error


def require_set(database: Database) -> None:
    """Refuse to prove a backup whose place is not known here, which says nothing of the backup.

    Raises:
        VerificationFailure: A variable of the config is not set.

    """
    if lack := variables.missing(database.config, database.path):
        raise failure_of(database, "unusable", lack)


@contextlib.contextmanager
def unlocked(database: Database, seconds: float) -> Iterator[None]:
    """Turn SQLite's "locked" into a VerificationFailure."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise failure_of(
            database, "busy", f"a writer has held the database for longer than {seconds:g} s"
        ) from error


def stale(database: Database, timeout: float, *, taken_up: bool) -> VerificationFailure:
    """Describe a commit that did not reach the replica."""
    if full := _full(database):
        message = (
            f"its last commit did not reach the replica within {timeout:g} s: the file system of "
            f"{full!r}, where the daemon has to write, is full. Make room there"
        )
    elif taken_up:
        message = (
            f"a daemon took up its last commit, but the replica did not get it within {timeout:g} "
            "s. Does the replica's endpoint answer? See the daemon's log"
        )
    else:
        message = (
            f"no daemon took up its last commit within {timeout:g} s. Start one; if one runs, "
            "see its log"
        )
    return _with_age(database, message)


def unreplicated(database: Database) -> VerificationFailure:
    """Describe a database that no daemon replicates."""
    message = "no daemon is replicating it: none runs on this host. Start one, and try again"
    return _with_age(database, message)


def _with_age(database: Database, message: str) -> VerificationFailure:
    """Return the failure "stale", and say how old the replica is."""
    message += _forbidden(database)
    try:
        last = last_replicated(database)
    except LitestreamError as error:
        return failure_of(database, "stale", f"{message}. The replica cannot be asked: {error}")
    if last is None:
        return failure_of(database, "stale", f"{message}. The replica shows no backup")
    position, created = last
    moment = datetime.fromisoformat(created.replace("Z", "+00:00"))
    age = round((datetime.now(timezone.utc) - moment).total_seconds())
    return failure_of(
        database,
        "stale",
        f"{message}. The newest change in the replica ({position}) is {age} s old",
        {"position": position, "age": age},
    )


def lacks(database: Database, hole: str) -> VerificationFailure:
    """Describe a replica that is known to lack what was committed."""
    message = f"what is in the replica is not what was committed: {hole}. "
    if lack := lacking(database.path, database.meta, database.folders or (), write=True):
        message = f"{lack}, so no daemon of this user's can replicate the database, and {message}"
        message += "Give this user that permission; Replication then mends the replica by itself"
    else:
        message += (
            "litestream.Replication and 'litestream run' mend that by themselves: start the daemon "
            "by one of them"
        )
    return failure_of(database, "different", message)


def _forbidden(database: Database) -> str:
    """Return a sentence on what this user's daemon may not use, after a full stop."""
    lack = lacking(database.path, database.meta, database.folders or (), write=True)
    return (
        f". Note that {lack}: no daemon of this user's can replicate the database" if lack else ""
    )


def _full(database: Database) -> str | None:
    """Return a directory of the daemon's that has no room left: its state's, or a replica's."""
    folders = [database.meta, os.path.dirname(database.path), *(database.folders or [])]
    for folder in folders:
        with contextlib.suppress(OSError):
            if shutil.disk_usage(folder).free < _HARDLY_ANY:
                return folder
    return None


def failure_of(
    database: Database, reason: Reason, message: str, details: dict[str, object] | None = None
) -> VerificationFailure:
    """Describe a failure, and name the replica where the database has several."""
    details = details or {}
    if database.replica is not None:
        message = f"replica {database.replica!r}: {message}"
        details = {"replica": database.replica, **details}
    return VerificationFailure(database.path, reason, message, details)
