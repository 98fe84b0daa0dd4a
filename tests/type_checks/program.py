"""A user's program: it is checked, and never run. Each public function is called once.

A line with two comments is a mistake that a checker must find: an unused comment is an error.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Literal

from typing_extensions import assert_type

import litestream
from litestream import commands, errors, metrics
from litestream.asgi import Replicated
from litestream.commands import Restored
from litestream.errors import VerificationFailure
from litestream.rows import (
    DatabaseOverview,
    DatabaseRow,
    HealthRow,
    HistoryRow,
    LTXRow,
    Pair,
    ReplicateProcess,
    SnapshotRow,
    SyncResult,
    Verdict,
    VerifyResult,
    WALRow,
)
from litestream.starlette import lifespan
from litestream.verification import Gap

CONFIG = {"app.db": "file:///backups/app", Path("b.db"): ["s3://bucket/b", {"path": "/backups/b"}]}


def configuring() -> None:
    litestream.configure(config=CONFIG)
    litestream.configure(config="litestream.yml", replica_bucket=None)
    litestream.configure(configuration="litestream.yml")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def proving(database: Path) -> None:
    proved = litestream.verify(database, exact=True, integrity_check="full", config=CONFIG)
    assert_type(proved, litestream.Verification)
    assert_type(proved.size, Pair)
    assert_type(proved.txid, int | None)
    assert_type(proved.gaps, list[Gap] | None)
    for outcome in litestream.verify_all(jobs=2, timestamp=datetime(2026, 1, 1)):
        assert_type(outcome, litestream.Outcome)
        assert_type(outcome.failure, VerificationFailure | None)
    litestream.verify(database, integrity_check="none at all")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    litestream.verify(database, 30.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def recovering() -> None:
    for found in litestream.recover(expect="backup", progress=lambda path, written, of: None):
        assert_type(found, litestream.Recovered)
        assert_type(found.as_of, str | None)
    litestream.recover(expect="backups")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def replicating() -> None:
    with litestream.Replication(CONFIG, max_restarts=3) as replication:
        assert_type(replication, litestream.Replication)
        assert_type(replication.pid, int | None)
        assert_type(replication.logs, list[str])
        replication.sync("app.db", timeout=5)
    assert_type(replication.stop(), bool)
    print(replication.state == "running")  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]


async def replicating_in_a_loop() -> None:
    async with litestream.Replication() as replication:
        assert_type(replication, litestream.Replication)


def watching() -> None:
    found = litestream.health("app.db", max_behind=5)
    assert_type(found.verdict, Verdict)
    assert_type(found[0], HealthRow)
    assert_type(litestream.history("app.db")[-1], HistoryRow)
    assert_type(metrics.text(), str)
    assert_type(litestream.databases(), list[DatabaseOverview])
    assert_type(litestream.replicate_process(), ReplicateProcess | None)


def opening() -> None:
    connection = litestream.connect("app.db")
    assert_type(connection, sqlite3.Connection)
    assert_type(litestream.sync("app.db"), None)


def commanding() -> None:
    assert_type(commands.executable(), Path)
    assert_type(commands.version(), str)
    assert_type(commands.restore("app.db", "copy.db"), Restored)
    assert_type(commands.restore("app.db", if_replica_exists=True), Restored | None)
    assert_type(commands.databases(config=CONFIG), list[DatabaseRow])
    assert_type(commands.wal("app.db"), list[WALRow])
    assert_type(commands.ltx("app.db", level="all"), list[LTXRow])
    assert_type(commands.snapshots("app.db"), list[SnapshotRow])
    assert_type(commands.sync("app.db"), SyncResult)
    assert_type(commands.verify("app.db"), VerifyResult)
    row = commands.snapshots("app.db")[0]
    assert_type(row["size"], int)
    print(row["sise"])  # type: ignore[typeddict-item]  # pyright: ignore


def failing() -> None:
    try:
        commands.restore("app.db")
    except errors.CommandFailedError as error:
        assert_type(error.returncode, int)
        assert_type(error.stderr, str)
    except litestream.VerificationFailure as failure:
        assert_type(
            failure.reason,
            Literal["unrestorable", "corrupt", "stale", "different", "busy", "unusable"],
        )
    print(litestream.restoer)  # type: ignore[attr-defined]  # pyright: ignore


def serving() -> None:
    async def application(scope: object, receive: object, send: object) -> None: ...

    Replicated(application, CONFIG)
    lifespan(config=CONFIG)
