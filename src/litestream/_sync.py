"""The durability barrier: return when what is committed is in the replica."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from litestream import _entries, _listings, _run, configuration
from litestream._arrival import metrics_page
from litestream._control import DEFAULT_PATH, ControlSocket
from litestream._handover import bump
from litestream._lock import Lock
from litestream._position import (
    Position03,
    committed_end,
    local_txid,
    measured_position,
    shadow_position,
    stored_position,
    wal_path,
)
from litestream.errors import (
    ConfigurationError,
    ControlSocketError,
    ReplicationTimeoutError,
    UnsupportedCommandError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from litestream._entries import Entry

_FIRST_PAUSE, _LAST_PAUSE = 0.01, 0.25
_LISTING = 10.0


def sync(
    database: str | os.PathLike[str],
    timeout: float = 30.0,
    *,
    config: str | os.PathLike[str] | None = None,
) -> None:
    """Return when everything committed before the call is in the replica, whoever runs the daemon.

    The daemon's control socket is asked (0.5), else the position of the last commit is followed
    through Litestream's local state into the replica. On 0.3 that takes a replica on disk or the
    config's ``addr:``; nothing else tells how far another process's daemon has come.

    Raises:
        ReplicationTimeoutError: That was not so after ``timeout`` seconds.
        ConfigurationError: The config does not name the database.
        UnsupportedCommandError: 0.3, and neither a replica on disk nor ``addr:``.

    """
    path = _run.target(database)
    source = configuration.find_config(config)
    content = configuration.read(source)
    found = [e for e in _entries.entries(content, _run.series()) if e.path == path]
    if not found:
        raise ConfigurationError(f"The config {source!r} does not name the database {path!r}")
    own = content.get("socket")
    socket = ""
    if isinstance(own, dict) and own.get("enabled"):
        socket = str(own.get("path") or DEFAULT_PATH)
    Barrier(found[0], source, {}, socket=socket, addr=content.get("addr")).wait(timeout)


class Barrier:
    """The wait for one database.

    ``positions`` are those that a daemon of ours has logged, by database and replica (0.3).
    """

    def __init__(
        self,
        entry: Entry,
        config: str,
        flags: Mapping[str, Any],
        *,
        socket: str = "",
        addr: str | None = None,
        positions: Mapping[tuple[str, str], Position03] | None = None,
    ) -> None:
        self.entry = entry
        self.config = config
        self.flags = flags
        self.socket = socket
        self.addr = addr
        self.positions = positions
        self._nudged = False

    def wait(self, timeout: float, check: Callable[[], None] = lambda: None) -> None:
        """Wait for at most `timeout` seconds; `check` is called now and then, and may raise."""
        if not os.path.exists(self.entry.path):
            return  # nothing is committed to a database that does not exist
        deadline = time.monotonic() + timeout
        socket_step = self._by_socket()
        file_step = self._by_03() if _run.series() == "0.3" else self._by_files()
        pause = _FIRST_PAUSE
        # 0.3.13 now and then keeps a commit back until the next one (seen in some of a hundred
        # waits on an idle database with intervals of 50 ms): then it gets a next one.
        nudge_at = deadline - timeout / 2
        while True:
            check()
            left = deadline - time.monotonic()
            if time.monotonic() > nudge_at and _run.series() == "0.3":
                nudge_at = deadline
                bump(self.entry.path)
            if left <= 0:
                # a config that Litestream refuses: its own words say why
                _listings.databases(config=self.config, **self.flags)
                raise ReplicationTimeoutError(
                    f"{self.entry.path!r} was not replicated within {timeout:g} s. Look at the "
                    "daemon's log, and whether the replica's endpoint answers"
                )
            socket = self._socket()
            done = socket_step(socket, left) if socket else file_step(left)
            if done:
                return
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 1.5, _LAST_PAUSE)

    def _socket(self) -> str:
        """Return the socket of the daemon that replicates: ours, or that of the lock's holder."""
        if _run.series() == "0.3":
            return ""
        if self.socket and os.path.exists(self.socket):
            return self.socket
        noted = Lock(self.entry.path).noted().get("socket", "")
        return str(noted) if noted and os.path.exists(noted) else ""

    def _by_socket(self) -> Callable[[str, float], bool]:
        """Follow the first answer's transaction until the daemon has sent it.

        A daemon that was started anew meanwhile counts on from its local state, so the number
        stays good.
        """
        wanted = 0

        def step(socket: str, left: float) -> bool:
            nonlocal wanted
            try:
                answer = ControlSocket(socket, timeout=max(0.05, min(10.0, left))).sync(
                    self.entry.path
                )
            except ControlSocketError:
                return False
            wanted = wanted or answer["txid"]
            return 0 < wanted <= answer["replicated_txid"]

        return step

    def _by_files(self) -> Callable[[float], bool]:
        wanted: int | None = None

        def step(left: float) -> bool:
            nonlocal wanted
            if wanted is None:
                end = committed_end(wal_path(self.entry.path))
                wanted = local_txid(self.entry.meta, end) if end else None
                return False
            rows = _listings.ltx(
                self.entry.path,
                level="all",
                config=self.config,
                timeout=max(0.1, min(_LISTING, left)),
                **self.flags,
            )
            return any(int(row["max_txid"], 16) >= wanted for row in rows)

        return step

    def _by_03(self) -> Callable[[float], bool]:
        first = committed_end(wal_path(self.entry.path))

        def step(_left: float) -> bool:
            # The WAL may have been started over meanwhile; a later end covers the first.
            wanted = None
            for end in (first, committed_end(wal_path(self.entry.path))):
                if wanted is None and end is not None:
                    wanted = shadow_position(self.entry.meta, end)
            return wanted is not None and self._replicas_reach(wanted)

        return step

    def _replicas_reach(self, wanted: Position03) -> bool:
        if self.positions is not None:
            own = [at for (path, _), at in self.positions.items() if path == self.entry.path]
            if len(own) >= len(self.entry.replicas) and all(at.reaches(wanted) for at in own):
                return True
            if not own and not self._nudged:
                self._nudged = True
                bump(self.entry.path)
        if self.addr:
            at = measured_position(metrics_page(self.addr), self.entry.path, wanted.generation)
            return at is not None and at.reaches(wanted)
        folders = [_entries.directory(replica) for replica in self.entry.replicas]
        if all(folders):
            stored = [stored_position(folder, wanted.generation) for folder in folders if folder]
            return all(at is not None and at.reaches(wanted) for at in stored)
        if self.positions is None:
            raise UnsupportedCommandError(
                "Litestream 0.3 tells how far it has come through its metrics page alone: put "
                "'addr: \"127.0.0.1:9090\"' into the config, or replicate with litestream."
                "Replication in this process"
            )
        return False
