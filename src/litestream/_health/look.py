"""Look at databases and judge how their backups are."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from litestream._database.files import wal_path
from litestream._executable.log_lines import escaped
from litestream._health import history

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from litestream._health.watched import Watched
    from litestream.rows import HealthRow, HistoryRow, Verdict

_ORDER: tuple[Verdict, ...] = ("ok", "degraded", "unknown", "failing")


class Limits(NamedTuple):
    """From when on a figure is bad: seconds and bytes."""

    behind: float
    proof_age: float
    wal_size: int
    wal_ratio: float


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst verdict, or "unknown" where there is none."""
    return max(verdicts, key=_ORDER.index, default="unknown")


def rows(databases: Sequence[Watched], limits: Limits, now: float) -> list[HealthRow]:
    """Look at each database."""
    return [_row(database, limits, now) for database in databases]


def _row(database: Watched, limits: Limits, now: float) -> HealthRow:
    last, good = _proofs(database.path)
    last_at = last and history.seconds_of(last["at"])
    good_at = good and history.seconds_of(good["at"])
    row: HealthRow = {
        "database": database.path,
        "verdict": "unknown",
        "reason": "",
        "state": "unknown",
        "pid": None,
        "restarts": None,
        "last_sync": None,
        "sync_age": None,
        "behind": None,
        "last_proof": last_at,
        "proof_age": _age(last_at, now),
        "last_good_proof": good_at,
        "good_proof_age": _age(good_at, now),
        "size": _size(database.path),
        "wal_size": _size(wal_path(database.path)) or 0,
        "state_size": None,
        "free": _free(database.path),
        "replica": database.replica,
    }
    row["verdict"], row["reason"] = _judged(database, row, last, limits)
    return row


def _judged(
    database: Watched, row: HealthRow, last: HistoryRow | None, limits: Limits
) -> tuple[Verdict, str]:
    size, wal_size = row["size"], row["wal_size"] or 0
    if database.trouble:
        return "failing", database.trouble
    if size is None:
        return "unknown", "There is no database file"
    if last is not None and not last["proved"]:
        known = last["reason"] not in ("busy", "unusable")
        said = escaped(f"The last proof failed: {last['reason']}, {last['message']}")
        return ("failing" if known else "degraded"), said
    age = row["good_proof_age"]
    if age is None:
        return "degraded", "Its backup was never proved: run 'litestream verify'"
    if age > limits.proof_age:
        return "degraded", f"Its backup was last proved {_span(age)} ago"
    if wal_size > max(limits.wal_size, limits.wal_ratio * size):
        return "degraded", f"Its WAL has {wal_size:,} bytes, the database {size:,}"
    return "unknown", "Whether the replica has the newest change cannot be told from here"


def _proofs(path: str) -> tuple[HistoryRow | None, HistoryRow | None]:
    """Return the last proof, and the last good one."""
    last = None
    with suppress(OSError):
        for row in history.newest_first(path):
            last = last or row
            if row["proved"]:
                return last, row
    return last, None


def _age(at: float | None, now: float) -> float | None:
    return None if at is None else max(0.0, now - at)


def _size(path: str) -> int | None:
    with suppress(OSError, ValueError):
        return os.stat(path).st_size
    return None


def _free(path: str) -> int | None:
    with suppress(OSError, ValueError):
        found = os.statvfs(os.path.dirname(path))
        return found.f_bavail * found.f_frsize
    return None


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
