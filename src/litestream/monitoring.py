"""How backups are: the history of their proofs, and their health, without a call of the replica."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from litestream._config.paths import target
from litestream._health import history as history_file
from litestream._health import look, table, watched
from litestream.rows import HealthRow, HistoryRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from litestream._config.config import ConfigArgument
    from litestream._config.paths import StrPath
    from litestream.rows import Verdict

__all__ = [
    "Health",
    "History",
    "health",
    "history",
]

_COLUMNS = ("database", "verdict", "reason", "state", "behind", "good_proof_age", "size")


class Health(list[HealthRow]):
    """The health of some databases, one row each: true if all is well.

    It is a small table in a notebook.
    """

    def __bool__(self) -> bool:
        return self.verdict == "ok"

    @property
    def verdict(self) -> Verdict:
        """Return the worst of the verdicts; ``"unknown"`` where there is no database."""
        return look.worst(row["verdict"] for row in self)

    def as_dict(self) -> dict[str, object]:
        """Return it as a dict that is ready for JSON: the worst verdict, and the rows."""
        return {"verdict": self.verdict, "databases": list(self)}

    def _repr_html_(self) -> str:
        return table.html(self, _COLUMNS)


class History(list[HistoryRow]):
    """The proofs of a database that were tried, oldest first; a small table in a notebook."""

    def _repr_html_(self) -> str:
        return table.html(self[::-1], ("at", "method", "proved", "reason", "seconds", "size"))


def health(
    databases: StrPath | Iterable[StrPath] | None = None,
    *,
    config: ConfigArgument = None,
    max_behind: float = 60.0,
    max_proof_age: float = 172800.0,
    max_wal_size: int = 100_000_000,
    max_wal_ratio: float = 2.0,
) -> Health:
    """Say how the backups of databases are; of all in the config, or of those that are named.

    Nothing is written and the replica is not called: it is read from what is on this host, in any
    process, beside any daemon.

    A row's verdict is ``"ok"``, ``"degraded"``, ``"unknown"`` (it cannot be told from here) or
    ``"failing"``, its ``reason`` one sentence. Failing are a database without a daemon, a replica
    that is more than ``max_behind`` seconds behind (and the config's intervals), and a last proof
    that failed. Degraded are one without a good proof for ``max_proof_age`` seconds, and one whose
    WAL has more than ``max_wal_size`` bytes and is ``max_wal_ratio`` times the database.

    Raises:
        ConfigNotFoundError, ConfigurationError: The config is missing or cannot be read, where no
            database is named.

    """
    limits = look.Limits(max_behind, max_proof_age, max_wal_size, max_wal_ratio)
    named: list[StrPath] | None = None
    if isinstance(databases, (str, os.PathLike)):
        named = [databases]
    elif databases is not None:
        named = list(databases)
    return Health(look.rows(watched.find(named, config), limits, time.time()))


def history(database: StrPath) -> History:
    """Return the proofs of a database that were tried on this host, oldest first.

    ``verify``, ``verify_all`` and ``litestream verify`` append to the file
    ``.NAME-litestream.history`` beside the database (see ``configure``). Lines that are damaged are
    left out.

    Raises:
        PermissionError: The file may not be read.

    """
    return History(history_file.rows(target(database)))


for _public in (Health, History, health, history):
    _public.__module__ = __name__
