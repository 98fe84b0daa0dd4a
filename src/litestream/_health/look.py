"""Judge the backups of databases."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from litestream._database.wal import wal_path
from litestream._executable.log_lines import escaped
from litestream._health import daemons, history, lag
from litestream.errors import INCONCLUSIVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from litestream._health.daemons import Daemon
    from litestream._health.lag import Lag
    from litestream._health.watched import Watched
    from litestream.rows import HealthRow, HistoryRow, Verdict

ORDER: tuple[Verdict, ...] = ("ok", "degraded", "unknown", "failing")
"""The verdicts, from the best to the worst."""
WORST_FIRST = ORDER[::-1]


_HIDDEN: tuple[Verdict, str] = ("unknown", "This user may not read the history of its proofs")


def badness(row: HealthRow) -> tuple[int, float, float]:
    """Return a sort key: the larger, the worse."""
    age = row["good_proof_age"]
    return (
        ORDER.index(row["verdict"]),
        row["behind"] or 0.0,
        float("inf") if age is None else age,
    )


class Limits(NamedTuple):
    """The limits beyond which a figure is bad, in seconds and bytes."""

    behind: float
    proof_age: float
    wal_size: int
    wal_ratio: float


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst verdict, or "unknown" if there is none."""
    return max(verdicts, key=ORDER.index, default="unknown")


def rows(databases: Sequence[Watched], limits: Limits, now: float) -> list[HealthRow]:
    """Look at each database."""
    pages = lag.Pages()
    return [
        _row(database, daemon, lag.measure(database, daemon, pages, now), limits, now)
        for database, daemon in zip(databases, daemons.find(databases), strict=True)
    ]


def _row(database: Watched, daemon: Daemon, found: Lag, limits: Limits, now: float) -> HealthRow:
    size = _size(database.path)
    gone = daemon.state in ("not running", "unknown")
    restarts = None if gone else daemon.noted.get("restarts")
    try:
        last, good = _proofs(database.path)
    except OSError:
        last = good = None
        hidden = True
    else:
        hidden = False
    last_at = last and history.seconds_of(last["at"])
    good_at = good and history.seconds_of(good["at"])
    row: HealthRow = {
        "database": database.path,
        "verdict": "unknown",
        "reason": "",
        "state": daemon.state,
        "pid": daemon.pid,
        "restarts": restarts if isinstance(restarts, int) else None,
        "last_sync": found.last_sync,
        "sync_age": _age(found.last_sync, now),
        "behind": None if size is None else _known(found, limits.behind + database.interval),
        "last_proof": last_at,
        "proof_age": _age(last_at, now),
        "last_good_proof": good_at,
        "good_proof_age": _age(good_at, now),
        "size": size,
        "wal_size": _size(wal_path(database.path)) or 0,
        "state_size": _tree_size(database.meta),
        "free": _free(database.path),
        "replica": database.replica,
    }
    row["verdict"], row["reason"] = _judged(database, row, last, limits, hidden=hidden)
    return row


def _known(found: Lag, limit: float) -> float | None:
    """Return how far a replica is behind; a lower bound counts only if it exceeds the limit."""
    return None if found.least and (found.behind or 0.0) <= limit else found.behind


def _judged(
    database: Watched, row: HealthRow, last: HistoryRow | None, limits: Limits, *, hidden: bool
) -> tuple[Verdict, str]:
    if database.trouble:
        return "failing", escaped(database.trouble)
    if row["size"] is None:
        return "unknown", "There is no database file"
    checks = [_of_daemon(row), _of_lag(database, row, limits), _of_room(row, limits)]
    checks.insert(2, _HIDDEN if hidden else _of_proofs(row, last, limits))
    found = [check for check in checks if check is not None]
    verdict = worst(verdict for verdict, _ in found) if found else "ok"
    reasons = [reason for of, reason in found if of == verdict]
    return verdict, reasons[0] if reasons else _good(row)


def _good(row: HealthRow) -> str:
    behind, age = row["behind"] or 0.0, row["good_proof_age"] or 0.0
    late = f"is {_span(behind)} behind" if behind >= 1 else "has the newest change"
    return f"The replica {late}, and was proved {_span(age)} ago"


def _of_daemon(row: HealthRow) -> tuple[Verdict, str] | None:
    state = row["state"]
    if state in ("not running", "stopped", "failed"):
        return "failing", "No daemon replicates it"
    if state == "mending":
        return "degraded", "Changes are missing from the replica; they are being copied again"
    if state == "stalled":
        return "degraded", "The daemon runs, and nothing reaches the replica"
    if state in ("backing off", "starting"):
        return "degraded", "The daemon is being started"
    return None


def _of_lag(database: Watched, row: HealthRow, limits: Limits) -> tuple[Verdict, str] | None:
    limit = limits.behind + database.interval
    behind, age = row["behind"], row["sync_age"]
    if behind is not None and behind > limit:
        return "failing", f"The replica is {_span(behind)} behind"
    # A healthy daemon of 0.5 syncs at every interval, even if nothing is written.
    syncs = database.series == "0.5" or row["state"] == "stalled"
    if age is not None and syncs and age > limit:
        return "failing", f"The last sync was {_span(age)} ago"
    if behind is None and row["state"] not in ("stalled", "starting", "backing off"):
        return "unknown", (
            "It is not known whether the replica has the newest change: no daemon with a control "
            "socket (0.5) or an address for metrics (0.3) answers, nor one of this library"
        )
    return None


def _of_proofs(
    row: HealthRow, last: HistoryRow | None, limits: Limits
) -> tuple[Verdict, str] | None:
    if last is not None and not last["proved"]:
        is_known = last["reason"] not in INCONCLUSIVE
        ago = f", {_span(row['proof_age'])} ago," if row["proof_age"] is not None else ""
        said = escaped(f"The last proof{ago} failed: {last['reason']}: {last['message']}")
        return ("failing" if is_known else "degraded"), said
    age = row["good_proof_age"]
    if age is None:
        return "degraded", "The backup was never proved: run 'litestream verify'"
    if age > limits.proof_age:
        return "degraded", f"The backup was last proved {_span(age)} ago: run 'litestream verify'"
    return None


def _of_room(row: HealthRow, limits: Limits) -> tuple[Verdict, str] | None:
    size, wal_size, free = row["size"] or 0, row["wal_size"] or 0, row["free"]
    if wal_size > max(limits.wal_size, limits.wal_ratio * size):
        return "degraded", f"The WAL has {wal_size:,} bytes, the database {size:,}"
    if free is not None and free < size:
        return "degraded", f"{free:,} bytes are free, too few for a restore of {size:,}"
    return None


def _proofs(path: str) -> tuple[HistoryRow | None, HistoryRow | None]:
    """Return the last proof, and the last good proof, of the newest state."""
    last = None
    for row in history.newest_first(path):
        if row["method"] == "timestamp":  # it says nothing about the newest state
            continue
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


def _tree_size(folder: str) -> int | None:
    """Return the bytes in Litestream's local state; None if this user may not read it."""
    total = 0
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    total += _tree_size(entry.path) or 0
                else:
                    with suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0
    except (OSError, ValueError):
        return None
    return total


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
