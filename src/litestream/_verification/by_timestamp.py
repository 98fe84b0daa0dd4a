"""Prove that every replica gives back its state at a time in the past, and that it is sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestream._executable import side_by_side
from litestream._restore.gaps import lies_in
from litestream._verification import past
from litestream._verification.failures import explained, failure_of
from litestream._verification.proof import ProvedCopy

if TYPE_CHECKING:
    import sqlite3

    from litestream._restore.staging import Staging
    from litestream._verification.proof import Proof
    from litestream._verification.result import Verification


def prove(
    proof: Proof, timestamp: str, connection: sqlite3.Connection, staging: Staging
) -> Verification:
    """Prove that every replica gives back its state at a time, and that it is sound."""
    for database in proof.database.each_replica():
        with side_by_side.turn(), explained(database):
            for gap in past.gaps(database, proof.patience):
                if lies_in(timestamp, gap["start"], gap["end"]):
                    raise failure_of(
                        database,
                        "unrestorable",
                        f"changes between {gap['start']} and {gap['end']} are missing in the "
                        "replica: what is restored for a time between them is older",
                    )
            copy = proof.restore(database, staging, connection, timestamp)
    return proof.result(connection, ProvedCopy(copy, None), exact=False, timestamp=timestamp)
