"""Refuse to replicate a database over the backups of another."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from litestream._database import connect
from litestream._database.lock import Lock
from litestream._database.permissions import lacking, lacking_state
from litestream._executable import side_by_side
from litestream._replication import replicas
from litestream.errors import BackupExistsError, UnusableDatabaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestream._config.database import Database


def guard(
    databases: Sequence[Database],
    jobs: int = 4,
    *,
    answer_timeout: float = replicas.LISTING,
    progress: Callable[[str, int, int | None], object] = lambda *_: None,
) -> None:
    """Refuse to replicate a database over backups that are not its own.

    Litestream would: it copies the file at the path, and the next restore gives that file. The
    backups are a database's own when Litestream keeps local state beside it, or when ``recover``
    has restored it. The replica of each other database is listed, ``jobs`` at a time, unless it is
    an empty directory. A listing has ``answer_timeout`` seconds; ``progress`` is called as by
    ``recover``.

    Raises:
        BackupExistsError: The replica of a database without local state holds backups.
        UnusableDatabaseError: This user may not read or write the local state.
        CommandFailedError, CommandTimeoutError: The replica could not be asked.

    """

    def if_foreign(database: Database) -> Database | None:
        progress(database.path, 0, None)
        found = replicas.has_backup(database, None, time.monotonic() + answer_timeout)
        progress(database.path, 0, 0)
        if not found:
            return None
        # Another process may have started replicating it since we looked.
        return None if is_own(database) else database

    require_permitted(databases)
    doubtful = [one for one in databases if not is_own(one) and not replicas.are_empty(one)]
    for database in side_by_side.results(if_foreign, doubtful, jobs):
        if database is None:
            continue
        if lack := lacking(database.path, database.meta, write=True):
            raise _forbidden(database, lack)
        also = (
            ". 'restore-if-db-not-exists: true' does not replace recover(): the daemon would "
            "restore the database only after the application has started"
            if database.is_restored
            else ""
        )
        raise BackupExistsError(
            f"The replica of {database.path!r} already holds backups, and nothing says that they "
            "are this database's: replicating would write over them. To go on from the backup, "
            "move the database away, and call litestream.recover() ('litestream recover'). Or "
            "choose another path for the replica. Or replicate this database over the backups, "
            f"by adopt=True (--adopt){also}",
            database.path,
        )


def require_permitted(databases: Sequence[Database]) -> None:
    """Refuse databases whose local state this user may not use, also where a backup is adopted.

    Raises:
        UnusableDatabaseError: This user may not read or write the local state.

    """
    for database in databases:
        if lack := lacking_state(database.meta, write=True):
            raise _forbidden(database, lack)


def _forbidden(database: Database, lack: str) -> UnusableDatabaseError:
    return UnusableDatabaseError(
        f"The database {database.path!r} cannot be replicated: {lack}. Give this user that "
        "permission, or run Litestream as another user"
    )


def is_own(database: Database) -> bool:
    """Tell whether the backups in the replica are those of the database at the path."""
    noted = Lock(database.path).noted()
    try:
        stat = os.stat(database.path)
    except OSError:
        return database.has_local_state and "replicated" not in noted
    file = [stat.st_dev, stat.st_ino]
    if not database.has_local_state:
        return bool(noted.get("restored") == file)
    if "replicated" not in noted or _was_replicated(database.path):
        return True
    # Its tables were dropped since, or it is a new file: file systems reuse inode numbers.
    changes = connect.schema_version(database.path)
    return bool(noted["replicated"] == file and changes > noted.get("schema", 0))


def _was_replicated(database: str) -> bool:
    """Tell whether Litestream's own table is in a database, as in each one that was restored."""
    with (
        suppress(sqlite3.Error),
        closing(connect.open_by_uri(database, "ro", 2.0)) as connection,
    ):
        found = "SELECT 1 FROM sqlite_master WHERE name = '_litestream_seq'"
        return connection.execute(found).fetchone() is not None
    return False
