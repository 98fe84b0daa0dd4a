"""The health of backups as metrics: families of samples, and their text for Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from litestream._health import history, look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestream.rows import HealthRow

    Value = Callable[[HealthRow], float | None]

DETAILED, WORST = 100, 10
"""Up to this many databases, each has samples of its own; of more, the worst have."""
_PREFIX = "litestream_backup_"
_SAMPLES: tuple[tuple[str, str, str, Value], ...] = (
    ("ok", "gauge", "Whether all is well with the backup.", lambda row: row["verdict"] == "ok"),
    (
        "behind_seconds",
        "gauge",
        "For how long a change has been missing from the replica.",
        lambda row: row["behind"],
    ),
    (
        "last_sync_timestamp_seconds",
        "gauge",
        "When the replica was last up to date, as the daemon says.",
        lambda row: row["last_sync"],
    ),
    (
        "last_proof_timestamp_seconds",
        "gauge",
        "When a proof was last tried.",
        lambda row: row["last_proof"],
    ),
    (
        "last_good_proof_timestamp_seconds",
        "gauge",
        "When the backup was last proved.",
        lambda row: row["last_good_proof"],
    ),
    (
        "restarts_total",
        "counter",
        "How often the daemon was started again by its keeper.",
        lambda row: row["restarts"],
    ),
    ("database_size_bytes", "gauge", "Size of the database.", lambda row: row["size"]),
    ("wal_size_bytes", "gauge", "Size of the database's WAL.", lambda row: row["wal_size"]),
    (
        "state_size_bytes",
        "gauge",
        "Size of Litestream's local state.",
        lambda row: row["state_size"],
    ),
    ("free_bytes", "gauge", "Free room beside the database.", lambda row: row["free"]),
)


class Family(NamedTuple):
    """A metric: its name, its type, its help text, and its samples by labels."""

    name: str
    type: str
    help: str
    samples: list[tuple[dict[str, str], float]]


def families(rows: Sequence[HealthRow], now: float | None = None) -> list[Family]:
    """Return the metrics of databases, first those of all databases together."""
    shown = list(rows)
    if len(rows) > DETAILED:
        shown = sorted(rows, key=look.badness, reverse=True)[:WORST]
    pairs = [({"database": _text(row["database"])}, row) for row in shown]
    found = _of_all(rows, time.time() if now is None else now)
    found.append(
        Family(
            f"{_PREFIX}verdict",
            "gauge",
            "The verdict on the backup; 1 for the one that it is.",
            [({**label, "verdict": row["verdict"]}, 1) for label, row in pairs],
        )
    )
    found.append(
        Family(
            f"{_PREFIX}daemon_state",
            "gauge",
            "What the daemon does; 1 for the state that it is in.",
            [({**label, "state": row["state"]}, 1) for label, row in pairs],
        )
    )
    for name, kind, about, value in _SAMPLES:
        samples = [(label, value(row)) for label, row in pairs]
        known = [(label, float(number)) for label, number in samples if number is not None]
        found.append(Family(_PREFIX + name, kind, about, known))
    proofs: list[tuple[dict[str, str], float]] = []
    restores: list[tuple[dict[str, str], float]] = []
    for label, row in pairs:
        last = history.newest(row["database"])
        if last is not None:
            proofs.append((label, float(last["proved"])))
            if last["restore_seconds"] is not None:
                restores.append((label, last["restore_seconds"]))
    found.append(
        Family(f"{_PREFIX}last_proof_ok", "gauge", "Whether the last proof succeeded.", proofs)
    )
    found.append(
        Family(f"{_PREFIX}last_restore_seconds", "gauge", "Seconds of the last restore.", restores)
    )
    return [family for family in found if family.samples]


def text(rows: Sequence[HealthRow], now: float | None = None) -> str:
    """Return the metrics in Prometheus' text format, version 0.0.4."""
    lines = []
    for family in families(rows, now):
        lines.append(f"# HELP {family.name} {family.help}")
        lines.append(f"# TYPE {family.name} {family.type}")
        for labels, value in family.samples:
            inner = ",".join(f'{name}="{_quoted(label)}"' for name, label in labels.items())
            lines.append(
                f"{family.name}{{{inner}}} {value!r}" if inner else f"{family.name} {value!r}"
            )
    return "\n".join([*lines, ""])


def _of_all(rows: Sequence[HealthRow], now: float) -> list[Family]:
    by_verdict = dict.fromkeys(look.ORDER, 0.0)
    for row in rows:
        by_verdict[row["verdict"]] += 1
    good = [row["last_good_proof"] for row in rows]
    oldest = min((at for at in good if at is not None), default=None)
    behind = max((row["behind"] for row in rows if row["behind"] is not None), default=None)
    single = (
        ("collected_timestamp_seconds", "When these figures were collected.", now),
        ("databases_size_bytes", "Size of all databases.", sum(row["size"] or 0 for row in rows)),
        ("never_proved_databases", "Databases never proved.", good.count(None)),
        ("oldest_good_proof_timestamp_seconds", "The oldest of the last good proofs.", oldest),
        ("most_behind_seconds", "Seconds that the replica furthest behind is behind.", behind),
    )
    return [
        Family(
            f"{_PREFIX}databases",
            "gauge",
            "Databases by verdict.",
            [({"verdict": verdict}, count) for verdict, count in by_verdict.items()],
        ),
        *(
            Family(_PREFIX + name, "gauge", about, [({}, float(value))])
            for name, about, value in single
            if value is not None
        ),
    ]


def _text(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()


def _quoted(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
