"""The database whose backup is proved: opened, in WAL mode, with room for a copy beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from litestream._database.permissions import lacking
from litestream._database.wal import wal_path
from litestream._verification import failures, result
from litestream.errors import UnusableDatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestream._config.database import Database


@contextlib.contextmanager
def opened(path: str, timeout: float, *, silent: bool) -> Iterator[sqlite3.Connection]:
    """Open the database, never create it; with ``silent`` only for reading.

    The last connection to close removes the WAL; a read-only one leaves an empty WAL behind.
    """
    if not os.path.isfile(path) or os.path.getsize(path) == 0:
        raise UnusableDatabaseError(
            f"There is no database at {path!r}. Correct the path; if the database is lost, restore "
            "it by litestream.recover(), or 'litestream recover'"
        )
    read_only = silent and os.path.exists(wal_path(path))
    uri = f"file:{quote(os.fsencode(path))}?mode={'ro' if read_only else 'rw'}"
    try:
        connection = sqlite3.connect(
            uri, uri=True, timeout=min(result.BUSY, timeout), isolation_level=None
        )
    except sqlite3.Error as error:
        what = lacking(path, write=not read_only) or str(error)
        raise UnusableDatabaseError(f"The database {path!r} cannot be opened: {what}") from error
    try:
        connection.execute("PRAGMA wal_autocheckpoint=0")  # checkpoints are the daemon's business
        # a process that is killed in a COMMIT with FULL leaves frames that only Litestream reads
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA query_only={int(silent)}")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        yield connection
    except sqlite3.Error as error:
        what = "Is it damaged, encrypted or read-only? (exact=True does not write)"
        if "full" in str(error):
            what = "Make room" if silent else "Make room, or pass exact=True, which does not write"
        why = "" if "full" in str(error) else lacking(path, write=not read_only)
        if why:
            what = "Give this user that permission"
            what += "" if silent else ", or pass exact=True, which does not write"
        raise UnusableDatabaseError(
            f"The database {path!r} cannot be used: {why or error}. {what}"
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
