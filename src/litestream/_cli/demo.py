"""``litestream demo``: replicate, lose and restore a database in a temporary directory."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from litestream import commands
from litestream._executable.series import series
from litestream.errors import LitestreamError
from litestream.replication import Replication

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

_ROWS, _PAUSE = 300, 0.005  # enough for several syncs meanwhile
_PATIENCE = 30.0  # seconds for each step, enough on a loaded machine

_CONFIG = """\
dbs:
  - path: {database}
    replicas:
      - type: file
        path: {replica}
"""


def run() -> int:
    """Run the demo and return its exit status: 0 only if every row came back."""
    previous = {
        number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        with tempfile.TemporaryDirectory(prefix="litestream-demo-") as directory:
            return _demo(directory)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _demo(directory: str) -> int:
    database = os.path.join(directory, "app.db")
    config = os.path.join(directory, "litestream.yml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(
            _CONFIG.format(
                database=_quoted(database), replica=_quoted(os.path.join(directory, "replica"))
            )
        )
    print(f"Litestream {commands.version()} at {commands.executable()}\n")

    begun = time.monotonic()
    with contextlib.closing(sqlite3.connect(database)) as connection, _daemon(config):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
        for number in range(_ROWS):
            with connection:
                connection.execute("INSERT INTO notes (text) VALUES (?)", (f"note {number}",))
            time.sleep(_PAUSE)
        _wait_for_first_backup(database, config)
        _print_rows(database, config)
        written = connection.execute("SELECT * FROM notes ORDER BY id").fetchall()
    print(f"wrote      {len(written)} rows while a daemon replicated them ({_since(begun)})")

    for name in (database, f"{database}-wal", f"{database}-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(name)
    print("lost       the database and its WAL are deleted")

    begun = time.monotonic()
    restored = commands.restore(database, database, config=config)
    with contextlib.closing(sqlite3.connect(restored)) as connection:
        found = connection.execute("SELECT * FROM notes ORDER BY id").fetchall()
    print(f"restored   {len(found)} rows ({_since(begun)})")

    if found != written:
        missing = len(set(written) - set(found))
        print(f"FAILED     {missing} of {len(written)} rows did not come back")
        return 1
    print(f"compared   all {len(found)} rows are equal to what was written")
    return 0


@contextlib.contextmanager
def _daemon(config: str) -> Iterator[None]:
    """Run a daemon that ends with this process, however that ends; show its log if it fails."""
    replication = Replication(config)
    try:
        with replication:
            yield
    except LitestreamError:
        sys.stderr.writelines(f"{line}\n" for line in replication.logs)
        raise


def _wait_for_first_backup(database: str, config: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not commands.snapshots(database, config=config, no_expand_env=True):
        if time.monotonic() > deadline:
            raise LitestreamError(f"The daemon made no backup within {_PATIENCE:g} s; see its log")
        time.sleep(0.05)


def _print_rows(database: str, config: str) -> None:
    calls: dict[str, Sequence[object]] = {
        "databases()": commands.databases(config=config, no_expand_env=True),
        "generations(path)": commands.generations(database, config=config, no_expand_env=True),
        "snapshots(path)": commands.snapshots(database, config=config, no_expand_env=True),
    }
    if series() == "0.3":
        calls["wal(path)"] = commands.wal(database, config=config, no_expand_env=True)
    else:
        calls["ltx(path)"] = commands.ltx(database, config=config, no_expand_env=True)
    for call, rows in calls.items():
        print(f"litestream.commands.{call}")
        for row in rows:
            print(f"    {row}")
    print()


def _quoted(path: str) -> str:
    """Return a path as JSON's text, which is YAML, too, unless it has pairs of surrogates."""
    import json

    return json.dumps(path, ensure_ascii=False)


def _since(begun: float) -> str:
    return f"{time.monotonic() - begun:.2f} s"
