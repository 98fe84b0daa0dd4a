"""The rows and results of the public functions, ready for JSON, with their types."""

from __future__ import annotations

from typing import Literal, TypedDict

__all__ = [
    "ChangeResult",
    "DatabaseOverview",
    "DatabaseRow",
    "FindingRow",
    "GenerationOverview",
    "GenerationRow",
    "HealthRow",
    "HistoryRow",
    "InfoRow",
    "LTXRow",
    "ManagedRow",
    "Pair",
    "PlanResult",
    "ReplicateProcess",
    "ResetResult",
    "SnapshotOverview",
    "SnapshotRow",
    "StatusRow",
    "SyncResult",
    "Verdict",
    "VerifyResult",
    "VersionRow",
    "WALRow",
]

Verdict = Literal["ok", "degraded", "unknown", "failing"]
"""The verdicts on a database's backup, from the best to the worst."""


class InfoRow(TypedDict):
    """A daemon's version, process and start, as it reports them."""

    version: str
    pid: int
    uptime_seconds: int
    started_at: str
    database_count: int


class ManagedRow(TypedDict):
    """A database that a daemon manages; ``last_sync_at`` is None until its first sync."""

    path: str
    status: str
    last_sync_at: str | None


class SyncResult(TypedDict):
    """The transaction ids after a sync: of the local LTX files, and of the replica."""

    path: str
    status: str
    txid: int
    replicated_txid: int


class ChangeResult(TypedDict):
    """The result of ``start``, ``stop``, ``register`` or ``unregister``; ``txid`` may be None."""

    path: str
    status: str
    txid: int | None


class DatabaseRow(TypedDict):
    """A database of the config; ``replicas`` are the replicas' names, joined by commas."""

    path: str
    replicas: str


class GenerationRow(TypedDict):
    """A generation in a replica; ``lag`` is a Go duration such as ``"-547ms"``."""

    name: str
    generation: str
    lag: str
    start: str
    end: str


class SnapshotRow(TypedDict):
    """A snapshot in a replica; ``size`` is in bytes, compressed."""

    replica: str
    generation: str
    index: int
    size: int
    created: str


class WALRow(TypedDict):
    """A WAL segment (0.3) or a level-0 LTX file (0.5) in a replica."""

    replica: str
    generation: str
    index: int
    offset: int
    size: int
    created: str


class LTXRow(TypedDict):
    """An LTX file in a replica; transaction ids are 16 hexadecimal digits."""

    level: int
    min_txid: str
    max_txid: str
    size: int
    created: str


class StatusRow(TypedDict):
    """The local state of a database, as ``litestream status`` prints it."""

    database: str
    status: str
    local_txid: str
    wal_size: str


class Pair(TypedDict):
    """A figure of the database, and the same figure of the restored copy."""

    original: int
    restored: int


class VerifyResult(TypedDict):
    """Figures of a database and its restored copy: bytes, and the number of your tables."""

    size: Pair
    tables: Pair


class ResetResult(TypedDict):
    """The directory that ``reset`` removed, or would remove."""

    path: str
    removed: str


class PlanResult(TypedDict):
    """What a restore would read: the files from ``min_txid`` to ``max_txid``, and their size."""

    source: str
    replica: str
    min_txid: str
    max_txid: str
    size: int
    files: list[LTXRow]


class VersionRow(TypedDict):
    """How the executable was built; a text is empty if the executable does not tell."""

    version: str
    go_version: str
    commit: str
    commit_time: str
    platform: str


class SnapshotOverview(TypedDict):
    """A snapshot of a generation."""

    index: int
    size: int
    created: str


class GenerationOverview(TypedDict):
    """A generation with its snapshots."""

    name: str
    generation: str
    lag: str
    start: str
    end: str
    snapshots: list[SnapshotOverview]


class DatabaseOverview(TypedDict):
    """A database with its generations."""

    path: str
    replicas: str
    generations: list[GenerationOverview]


class ReplicateProcess(TypedDict):
    """A running daemon; ``started`` is in UTC, ``2024-04-17T00:01:19Z``."""

    pid: int
    status: str
    started: str


class FindingRow(TypedDict):
    """A fault in a config; ``level`` is ``"error"`` or ``"warning"``."""

    path: str
    line: int
    column: int
    id: str
    level: str
    message: str
    hint: str


class HealthRow(TypedDict):
    """The health of one database's backup, and the figures behind it.

    ``reason`` is one sentence. Times are seconds since 1970, ages and ``behind`` seconds, sizes and
    ``free`` bytes; None if unknown. ``state`` is the daemon's: a ``Replication.state``,
    ``"not running"`` or ``"unknown"``. ``behind`` is the time for which a change has been missing
    from the replica; 0 if none is missing. ``replica`` is the replica's place, without credentials.
    """

    database: str
    verdict: Verdict
    reason: str
    state: str
    pid: int | None
    restarts: int | None
    last_sync: float | None
    sync_age: float | None
    behind: float | None
    last_proof: float | None
    proof_age: float | None
    last_good_proof: float | None
    good_proof_age: float | None
    size: int | None
    wal_size: int | None
    state_size: int | None
    free: int | None
    replica: str | None


class HistoryRow(TypedDict):
    """A recorded proof: its database, time (UTC), method and outcome.

    ``method`` is ``"sentinel"`` (a row that the proof writes, and that must come back), ``"exact"``
    (the whole content) or ``"timestamp"`` (a state in the past). For a failed proof ``reason`` and
    ``message`` are a ``VerificationFailure``'s, secrets masked. ``seconds`` is the whole duration,
    ``restore_seconds`` that of the restore. ``size`` is the copy's, in bytes.
    """

    at: str
    database: str
    method: str
    proved: bool
    reason: str | None
    message: str | None
    seconds: float
    restore_seconds: float | None
    size: int | None
    position: str | None
    host: str
