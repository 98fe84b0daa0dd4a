"""Connections: with the settings that Litestream wants, and our own short ones."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, closing, contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from typing import Any

_NO_CHECKPOINT_ON_CLOSE = "SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE"
LOCK_WAIT = 2.0
_TEARING = (3, 50, 2)
"""The first SQLite that never commits frames without a checksum; see `audit`."""
TRUNCATE_WAIT, _TRUNCATE_PAUSE, _TRUNCATE_TIME = 0.4, 0.1, 3.0
"""Seconds: for readers to end while writers wait, between two tries, and for all tries."""


def connect(
    database: str | os.PathLike[str], *, timeout: float = 5.0, **kwargs: Any
) -> sqlite3.Connection:
    """Open a database with the settings that Litestream wants, as ``sqlite3.connect`` does.

    WAL mode, a busy timeout of ``timeout`` seconds, ``synchronous=NORMAL``, and no checkpoints:
    neither automatic ones (``wal_autocheckpoint=0``) nor, from Python 3.12 on, one at the close
    of the last connection. Then only the daemon makes checkpoints. A restart of the WAL while no
    daemon runs would make the next daemon copy the whole database again.

    With SQLite before 3.50.2, ``cache_spill`` is off: a transaction that is larger than the page
    cache is kept in memory. Otherwise SQLite may leave frames without a checksum in the WAL when
    the transaction rolls back to a savepoint. Neither SQLite's recovery after a crash nor
    Litestream reads what follows them (measured with 3.39 to 3.50.1).

    The WAL grows while no daemon runs. Use this function for a database that is always replicated.
    Elsewhere, as in an occasional script, open the database as usual.

    Source: litestream.io/tips.
    """
    import sqlite3

    # With autocommit=False a transaction is always open, and the pragmas are refused in one.
    wanted = kwargs.get("autocommit")
    if wanted is not None:
        kwargs["autocommit"] = True
    connection: sqlite3.Connection = sqlite3.connect(os.fspath(database), timeout=timeout, **kwargs)
    try:
        pragmas = ["journal_mode = WAL", "synchronous = NORMAL", "wal_autocheckpoint = 0"]
        if sqlite3.sqlite_version_info < _TEARING:
            pragmas.append("cache_spill = OFF")
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()
        option = getattr(sqlite3, _NO_CHECKPOINT_ON_CLOSE, None)
        if option is not None:
            # setconfig and autocommit are of Python 3.12; types are checked for 3.10
            connection.setconfig(option, True)  # type: ignore[attr-defined, unused-ignore]
        if wanted is not None:
            connection.autocommit = wanted  # type: ignore[attr-defined, unused-ignore]
    except BaseException:
        connection.close()
        raise
    return connection


connect.__module__ = "litestream"  # where a pickle finds it


def bump(database: str) -> None:
    """Commit a change to Litestream's own row, with Litestream's own statement.

    The commit writes a frame over those of a writer that died inside COMMIT. It also makes 0.3 log
    its position: after a start, 0.3 logs nothing until something is committed. If the row cannot be
    changed, nothing happens.

    Source: both series create the table when they open a database, and the row with the first
    checkpoint.
    """
    import sqlite3

    # Closed last and read-only, the pin keeps the close of the writer from checkpointing the WAL.
    with suppress(sqlite3.Error), closing(open_by_uri(database, "ro", LOCK_WAIT)) as pin:
        pin.execute("SELECT 1 FROM sqlite_master").fetchone()
        with closing(open_by_uri(database, "rw", LOCK_WAIT)) as connection:
            # With FULL, a kill during the fsync of this COMMIT would leave such frames.
            connection.execute("PRAGMA synchronous=NORMAL")
            change(connection)


def change(connection: sqlite3.Connection) -> None:
    """Change Litestream's own row; see `bump`."""
    connection.execute(
        "INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) "
        "ON CONFLICT (id) DO UPDATE SET seq = seq + 1"
    )


def truncate_wal(connection: sqlite3.Connection) -> bool:
    """Checkpoint the whole WAL and truncate it; return False if a reader prevents that.

    Raises:
        sqlite3.Error: The database cannot be read, or is no database.

    """
    busy, deadline = True, time.monotonic() + _TRUNCATE_TIME
    while busy and time.monotonic() < deadline:
        # PASSIVE first: it copies the pages without blocking writers.
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        # Busy at once if another checkpoint runs; after a wait if readers remain.
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            time.sleep(_TRUNCATE_PAUSE)
    return not busy


@contextmanager
def is_unused(database: str) -> Iterator[bool]:
    """Tell whether nobody writes to a database; if so, block writers while the block runs."""
    import sqlite3

    with ExitStack() as stack:
        try:
            # As in `bump`: the pin is closed last.
            pin = stack.enter_context(closing(open_by_uri(database, "ro", 0)))
            pin.execute("SELECT 1 FROM sqlite_master").fetchone()
            writer = stack.enter_context(closing(open_by_uri(database, "rw", 0)))
            writer.execute("BEGIN IMMEDIATE")
            unused = True
        except sqlite3.Error:
            unused = False
        yield unused


def open_by_uri(database: str, mode: str, timeout: float) -> sqlite3.Connection:
    """Open an existing database without the transactions that Python begins by itself."""
    import sqlite3

    quoted = "".join(f"%{byte:02x}" for byte in os.fsencode(os.path.abspath(database)))
    return sqlite3.connect(
        f"file:{quoted}?mode={mode}", uri=True, timeout=timeout, isolation_level=None
    )


def schema_version(database: str) -> int:
    """Return how often a database's schema has changed; 0 if it cannot be read."""
    import sqlite3

    with suppress(sqlite3.Error), closing(open_by_uri(database, "ro", LOCK_WAIT)) as connection:
        return int(connection.execute("PRAGMA schema_version").fetchone()[0])
    return 0
