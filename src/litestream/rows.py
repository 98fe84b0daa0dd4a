"""What the functions return: rows and results, JSON-ready, with their types."""

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
"""How a database's backup is, from the best to the worst."""


class InfoRow(TypedDict):
    """What a daemon says of itself."""

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
    """The transaction ids after a sync: in the local LTX files, and in the replica."""

    path: str
    status: str
    txid: int
    replicated_txid: int


class ChangeResult(TypedDict):
    """What ``start``, ``stop``, ``register`` or ``unregister`` did; ``txid`` where there is one."""

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
    """A figure of the database, and the same of its restored copy."""

    original: int
    restored: int


class VerifyResult(TypedDict):
    """Figures of a database and of its restored copy: bytes, and how many tables of yours."""

    size: Pair
    tables: Pair


class ResetResult(TypedDict):
    """What ``reset`` removed, or would remove."""

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
    """How the executable was built; a text is empty where it does not tell."""

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
    """Something that is wrong with a config; ``level`` is ``"error"`` or ``"warning"``."""

    path: str
    line: int
    column: int
    id: str
    level: str
    message: str
    hint: str


class HealthRow(TypedDict):
    """How the backup of one database is, and the figures that say so.

    ``reason`` is one sentence. Times are seconds since 1970, ages and ``behind`` seconds, sizes and
    ``free`` bytes; None where it is not known. ``state`` is the daemon's: a ``Replication.state``,
    ``"not running"`` or ``"unknown"``. ``behind`` says for how long a change has been missing from
    the replica; 0 when none is. ``replica`` says where the copies go, without credentials.
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
    """A proof that was tried: of which database, when (UTC), how, and what came of it.

    ``method`` is ``"sentinel"``, ``"exact"`` or ``"timestamp"``. Of a failed one, ``reason`` and
    ``message`` are a ``VerificationFailure``'s, secrets masked. ``seconds`` is what all of it took,
    ``restore_seconds`` the restore alone. ``size`` is the copy's, in bytes.
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
