"""The jobs behind the buttons, in the background: listing, proof, restore."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from litestream import commands, verification
from litestream._executable.arguments import loaded
from litestream.errors import ConfigurationError, LitestreamError, UnsupportedCommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from litestream._config.config import ConfigArgument
    from litestream.dashboard.store import Store
    from litestream.rows import LTXRow, WALRow

ACTIONS = ("verify", "restore")
LISTING = "refresh"
_AT_ONCE = 2
_WAITING = 20
_PATIENCE = 60.0
"""Seconds that one listing of the replica may take."""
_SHOWN = 20

_log = logging.getLogger("litestream.dashboard")


class Jobs:
    """The buttons' work. Each database has one job of a kind; two run at once, the others wait."""

    def __init__(
        self,
        config: ConfigArgument,
        store: Store,
        actions: Iterable[str],
        masked: Callable[[str], str],
    ) -> None:
        self.actions = tuple([actions] if isinstance(actions, str) else actions)
        for action in self.actions:
            if action not in ACTIONS:
                raise ConfigurationError(
                    f"There is no action {action!r} on the dashboard: there are 'verify', 'restore'"
                )
        self._config = config
        self._store = store
        self._masked = masked
        self._names: set[tuple[str, str]] = set()
        self._guard = threading.Lock()
        self._turn = threading.Semaphore(_AT_ONCE)
        self._work = {LISTING: self._list, "verify": self._verify, "restore": self._restore}

    def start(self, kind: str, database: str) -> bool:
        """Start a job, unless it runs; False when too many wait already."""
        with self._guard:
            if (kind, database) in self._names:
                return True
            if len(self._names) >= _WAITING:
                return False
            self._names.add((kind, database))
        self._store.write(
            database, kind, {"state": "running", "at": time.time(), "pid": os.getpid()}
        )
        threading.Thread(
            target=self._run,
            args=(kind, database),
            name=f"litestream-{kind}",
            daemon=kind == LISTING,  # the thread that made a copy removes it
        ).start()
        return True

    def state(self, kind: str, database: str) -> dict[str, Any]:
        """Return the result of the last job of a kind; its state is "" if there was none."""
        found = {"state": "", "at": None, "message": "", **self._store.read(database, kind)}
        if found.get("state") == "running" and not _is_alive(found.get("pid")):
            return {**found, "state": "failed", "message": "The process of the job has ended"}
        return found

    def _run(self, kind: str, database: str) -> None:
        try:
            with self._turn:
                try:
                    state, message = "done", self._work[kind](database)
                except LitestreamError as error:
                    state, message = "failed", self._masked(str(error))
                except Exception:
                    _log.exception("%s of %r failed", kind, database)
                    state, message = "failed", "An internal error: see the server's log"
            self._store.write(
                database, kind, {"state": state, "at": time.time(), "message": message}
            )
        finally:
            with self._guard:
                self._names.discard((kind, database))

    def _verify(self, database: str) -> str:
        done = verification.verify(database, config=self._config, exact=True)
        return f"Proved in {done.seconds:.1f} s: the backup restores, and equals the database"

    def _restore(self, database: str) -> str:
        return f"Restored to {commands.restore(database, config=self._config)}"

    def _list(self, database: str) -> str:
        began = time.time()
        with loaded(self._config) as config:
            found = listed(database, config)
        self._store.write(database, "backups", {**found, "at": began})
        return f"Listed in {time.time() - began:.1f} s"


def listed(database: str, config: ConfigArgument) -> dict[str, Any]:
    """List the backups in the replica: the newest ones, and the number of each kind."""
    options: dict[str, Any] = {"config": config, "timeout": _PATIENCE}
    generations = commands.generations(database, **options)
    snapshots = sorted(
        commands.snapshots(database, **options), key=lambda row: row["created"], reverse=True
    )
    files: list[tuple[str, LTXRow | WALRow]]
    try:
        listed_ltx = commands.ltx(database, level="all", **options)
        files = [(f"level {row['level']}", row) for row in listed_ltx]
        kind = "LTX level"
    except UnsupportedCommandError:
        files = [(row["generation"], row) for row in commands.wal(database, **options)]
        kind = "WAL of generation"
    groups = []
    for name in sorted({name for name, _ in files}):
        rows = [row for one, row in files if one == name]
        times = [row["created"] for row in rows]
        size = sum(row["size"] for row in rows)
        groups.append([name, len(rows), size, min(times), max(times)])
    return {
        "kind": kind,
        "files": groups[:_SHOWN],
        "generations": sorted(generations, key=lambda row: row["end"], reverse=True)[:_SHOWN],
        "generation_count": len(generations),
        "snapshots": snapshots[:_SHOWN],
        "snapshot_count": len(snapshots),
    }


def _is_alive(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    with contextlib.suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
