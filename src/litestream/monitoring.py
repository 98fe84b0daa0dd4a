"""The health of backups and the history of their proofs, without a request to the replica."""

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
    """The health of databases, one row each; true if all is well.

    A notebook shows a small table.
    """

    def __bool__(self) -> bool:
        return self.verdict == "ok"

    @property
    def verdict(self) -> Verdict:
        """Return the worst verdict; ``"unknown"`` if there is no database."""
        return look.worst(row["verdict"] for row in self)

    def as_dict(self) -> dict[str, object]:
        """Return the health as a dict for JSON: the worst verdict, and the rows."""
        return {"verdict": self.verdict, "databases": list(self)}

    def _repr_html_(self) -> str:
        return table.html(self, _COLUMNS)


class History(list[HistoryRow]):
    """The recorded proofs of a database, oldest first; a small table in a notebook."""

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
    """Return the health of backups: of all databases in the config, or of the named ones.

    Nothing is written, and nothing is requested from the replica: the facts are read on this host,
    in any process, beside any daemon.

    A row's verdict is ``"ok"``, ``"degraded"``, ``"unknown"`` (this host does not know) or
    ``"failing"``, its ``reason`` one sentence. A database is failing without a daemon, with a
    replica more than ``max_behind`` seconds behind (plus the config's intervals), and after a
    failed last proof. It is degraded without a good proof for ``max_proof_age`` seconds, and with a
    WAL of more than ``max_wal_size`` bytes that is ``max_wal_ratio`` times the database.

    Raises:
        ConfigNotFoundError, ConfigurationError: No database is named, and the config is missing or
            cannot be read.

    """
    limits = look.Limits(max_behind, max_proof_age, max_wal_size, max_wal_ratio)
    named: list[StrPath] | None = None
    if isinstance(databases, (str, os.PathLike)):
        named = [databases]
    elif databases is not None:
        named = list(databases)
    return Health(look.rows(watched.find(named, config), limits, time.time()))


def history(database: StrPath) -> History:
    """Return the recorded proofs of a database on this host, oldest first.

    ``verify``, ``verify_all`` and ``litestream verify`` append to the file
    ``.NAME-litestream.history`` beside the database (see ``configure``). Damaged lines are
    skipped.

    Raises:
        PermissionError: The file may not be read.

    """
    return History(history_file.rows(target(database)))


for _public in (Health, History, health, history):
    _public.__module__ = __name__
