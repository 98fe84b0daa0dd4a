"""The results of a verify: the proof of one backup, or an outcome for each of many."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    import sqlite3

    from litestream._database.integrity import IntegrityCheck
    from litestream.errors import VerificationFailure
    from litestream.rows import Pair

BUSY = 5.0
"""Seconds that a writer may hold the database before a verify gives up."""


class Gap(TypedDict):
    """A span of time that a replica cannot restore, from ``start`` to ``end`` (UTC)."""

    replica: str
    start: str
    end: str


@dataclasses.dataclass(frozen=True)
class Verification:
    """The proof of a backup; as a condition it is true.

    ``size`` is in bytes, ``tables`` counts tables. ``txid`` is the transaction that the replica
    had to reach (0.5), ``replicas`` are the names of the replicas that were restored: all of the
    database's, or the named one. ``exact`` says that the content was compared. Durations are in
    seconds: ``waited`` until the replica had the last commit, ``restored`` for the restore,
    ``seconds`` for all of it. ``started`` is in UTC.

    The newest state was proved, or the one at ``timestamp``. ``gaps`` are the times in the past
    that cannot be restored; None if the replicas could not be listed.
    """

    database: str
    exact: bool
    integrity_check: IntegrityCheck
    size: Pair
    tables: Pair
    txid: int | None
    replicas: list[str]
    started: str
    waited: float
    restored: float
    seconds: float
    timestamp: str | None = None
    gaps: list[Gap] | None = None

    def __bool__(self) -> bool:
        return True

    def _repr_html_(self) -> str:
        from litestream._health import table

        figures = {
            "database": self.database,
            "proved": "content" if self.exact else self.timestamp or "newest change",
            "replicas": ", ".join(self.replicas),
            "size": self.size["restored"],
            "tables": self.tables["restored"],
            "seconds": self.seconds,
            "restored in": self.restored,
            "gaps": None if self.gaps is None else len(self.gaps),
            "started": self.started,
        }
        return table.html([figures], figures)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of one database in ``verify_all``: true if its backup is proved.

    Either ``verification`` says what was proved, or ``failure`` why nothing was.
    """

    database: str
    verification: Verification | None = None
    failure: VerificationFailure | None = None

    @property
    def proved(self) -> bool:
        """Say whether the backup is proved."""
        return self.verification is not None

    def __bool__(self) -> bool:
        return self.proved

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as a dict for JSON, as ``litestream verify --json`` prints it.

        ``database`` and ``proved`` are always there, with all fields of a ``Verification``, or a
        failure's ``reason``, ``message`` and ``details``.
        """
        known: dict[str, Any] = {"database": self.database, "proved": self.proved}
        if self.verification is not None:
            return {**known, **dataclasses.asdict(self.verification)}
        if self.failure is not None:
            for name in ("reason", "message", "details"):
                known[name] = getattr(self.failure, name)
        return known


def figures(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return a database's size in bytes and the number of its tables, Litestream's left out."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    (tables,) = connection.execute(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' "
        r"AND name NOT LIKE '\_litestream\_%' ESCAPE '\' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'"
    ).fetchone()
    return pages * page_size, tables


for _public in (Gap, Verification, Outcome):
    _public.__module__ = "litestream.verification"  # where a pickle finds it
