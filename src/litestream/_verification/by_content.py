"""Prove that the restored copy equals the database at one commit, without a commit of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestream._database.wal import wal_path
from litestream._verification import page_comparison, table_differences
from litestream._verification.failures import different, failure_of

if TYPE_CHECKING:
    import sqlite3

    from litestream._config.database import Database
    from litestream._database import wal as wal_file
    from litestream._restore.staging import Staging
    from litestream._verification.proof import Proof, ProvedCopy
    from litestream._verification.result import Verification


def prove(proof: Proof, connection: sqlite3.Connection, staging: Staging) -> Verification:
    """Prove that the restored copy of every replica equals the database at one commit."""
    for database in proof.database.each_replica():
        proved = _equal(proof, database, connection, staging)
    return proof.result(connection, proved, exact=True)


def _equal(
    proof: Proof, database: Database, connection: sqlite3.Connection, staging: Staging
) -> ProvedCopy:
    wal = wal_path(database.path)
    watch = proof.watch(database, only_new=False)
    pin = page_comparison.Pin(connection, wal, proof.interrupt)

    def end(anew: bool) -> wal_file.WALEnd | None:
        nonlocal pin
        if anew:  # otherwise the next segment decides about the pinned state
            pin.release()
            pin = page_comparison.Pin(connection, wal, proof.interrupt)
        return pin.end

    def attempt() -> str:
        restored = proof.restore(database, staging, connection)
        copy = staging.file("source")
        pin.copy(copy)
        try:
            if page_comparison.is_equal(pin, copy, restored, wal):
                return restored
        except page_comparison.MovedError:
            moved = "its WAL was restarted while it was being compared"
            raise failure_of(database, "busy", moved) from None
        found = table_differences.differences(copy, restored, proof.interrupt)
        raise different(database, found, pin)

    proved = proof.repeated(database, watch, end, attempt)
    pin.release()
    return proved
