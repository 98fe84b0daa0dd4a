"""Refuse to replicate a database over the backups of another."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from litestream._config import databases as config_databases
from litestream._database import connect
from litestream._database.lock import Lock
from litestream._replication import replicas
from litestream.errors import BackupExistsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestream._config.databases import Entry
    from litestream._replication.daemon_config import Prepared


def guard(
    prepared: Prepared,
    answer_timeout: float = replicas.LISTING,
    progress: Callable[[str, int, int | None], object] = lambda *_: None,
) -> None:
    """Refuse to replicate a database over backups that are not its own.

    Litestream would: it copies whatever stands at the path, and the next restore gives that. A
    database counts as the backups' own when Litestream keeps local state beside it, or when
    ``recover`` has restored it. One listing for each other one, which has ``answer_timeout``
    seconds; ``progress`` is called before it.

    Raises:
        BackupExistsError: The replica of a database without local state holds backups.
        CommandFailedError, CommandTimeoutError: The replica could not be asked.

    """
    for entry in prepared.entries:
        if is_own(entry):
            continue
        progress(entry.path, 0, None)
        if not replicas.has_backup(entry, prepared, None, time.monotonic() + answer_timeout):
            continue
        # Another process may have started replicating it since we looked.
        if is_own(entry):
            continue
        raise BackupExistsError(
            f"The replica of {entry.path!r} already holds backups, and nothing says that they are "
            "this database's: replicating would write over them. Call litestream.recover() "
            "before the application starts, or choose another path for the replica, or pass "
            "adopt=True to replicate this database over them",
            entry.path,
        )


def is_own(entry: Entry) -> bool:
    """Tell whether the backups in the replica are those of the database at the path."""
    noted = Lock(entry.path).noted()
    try:
        stat = os.stat(entry.path)
    except OSError:
        return config_databases.has_local_state(entry) and "replicated" not in noted
    file = [stat.st_dev, stat.st_ino]
    if not config_databases.has_local_state(entry):
        return bool(noted.get("restored") == file)
    if "replicated" not in noted or _was_replicated(entry.path):
        return True
    # Its tables were dropped since, or it is a new file: file systems give a number again.
    changes = connect.schema_version(entry.path)
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
