"""Prove that a commit of ours comes back: a row by which the restored copy is recognised."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING

from litestream._database import integrity
from litestream._database import wal as wal_file
from litestream._database.wal import wal_path
from litestream._verification.failures import failure_of, unlocked
from litestream._verification.result import BUSY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestream._config.database import Database
    from litestream._restore.staging import Staging
    from litestream._verification.proof import Proof
    from litestream._verification.result import Verification

_TABLE = "_litestream_verification"
_CREATE = f"CREATE TABLE IF NOT EXISTS {_TABLE} (id INTEGER PRIMARY KEY, uuid BLOB)"
_FORGOTTEN = 86400.0  # seconds; no verify takes that long
_SWEEP = (
    f"DELETE FROM {_TABLE} WHERE typeof(uuid) = 'blob' AND length(uuid) = 16 "  # noqa: S608
    "AND substr(hex(uuid), 13, 1) = '7' AND uuid < ?"
)


def prove(proof: Proof, connection: sqlite3.Connection, staging: Staging) -> Verification:
    """Prove that a commit of ours comes back, from every replica."""
    token = new_token()

    watches = [  # made before the commit, to notice it
        (database, proof.watch(database, lambda: touch(connection, token), only_new=True))
        for database in proof.database.each_replica()
    ]
    with (
        unlocked(proof.database, min(BUSY, proof.timeout)),
        sentinel(connection, token),
    ):
        end = wal_file.committed_end(wal_path(proof.database.path))
        for database, watch in watches:
            attempt = partial(_restore_with, token, proof, database, staging, connection)
            proved = proof.repeated(database, watch, lambda _: end, attempt)
        return proof.result(connection, proved, exact=False)


def _restore_with(
    token: bytes,
    proof: Proof,
    database: Database,
    staging: Staging,
    connection: sqlite3.Connection,
) -> str:
    """Restore a copy that holds the row, and return its path."""
    copy = proof.restore(database, staging, connection)
    if is_in(copy, token):
        return copy
    raise failure_of(
        database,
        "different",
        "the row that this verify wrote reached the replica, but the restored copy does not have "
        "the row: the copy is another database, or an older state",
    )


def new_token() -> bytes:
    """Return the token by which one verify recognises its row."""
    return _uuid(time.time())


@contextlib.contextmanager
def sentinel(connection: sqlite3.Connection, token: bytes) -> Iterator[None]:
    """Commit a row of our own, and remove it at the end.

    The table has the shape that the Ruby gem gives it, and a table of the gem's is used as it is.
    The table stays: creating it again would make every connection prepare its statements again.
    Rows of a killed verify are removed by the next one after a day; rows of others are not touched.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_CREATE)
        connection.execute(_SWEEP, (_uuid(time.time() - _FORGOTTEN),))
        connection.execute(f"INSERT INTO {_TABLE} (uuid) VALUES (?)", (token,))  # noqa: S608
        connection.execute("COMMIT")
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the first error says more
            _remove(connection, token)
        raise
    _remove(connection, token)


def is_in(copy: str, token: bytes) -> bool:
    """Say whether a restored copy holds the row.

    Raises:
        CorruptBackupError: SQLite cannot read it.

    """
    with integrity.opened(copy) as connection:
        try:
            found = connection.execute(f"SELECT 1 FROM {_TABLE} WHERE uuid = ?", (token,))  # noqa: S608
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return False
            raise
        return found.fetchone() is not None


def touch(connection: sqlite3.Connection, token: bytes) -> None:
    """Make another commit: give the row a new number (without a change nothing is written)."""
    connection.execute(
        f"UPDATE {_TABLE} SET id = (SELECT max(id) + 1 FROM {_TABLE}) WHERE uuid = ?",  # noqa: S608
        (token,),
    )


def _remove(connection: sqlite3.Connection, token: bytes) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.execute(f"DELETE FROM {_TABLE} WHERE uuid = ?", (token,))  # noqa: S608


def _uuid(moment: float) -> bytes:
    """Return a UUID of version 7: its time tells how old the row is."""
    random = secrets.token_bytes(10)
    return (
        int(moment * 1000).to_bytes(6, "big")
        + bytes([0x70 | random[0] & 0x0F, random[1], 0x80 | random[2] & 0x3F])
        + random[3:]
    )
