"""The state of a daemon, as its keeper has reported it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

from litestream import _settings
from litestream._database.local_state import Position03
from litestream._executable.log_lines import escaped
from litestream._replication.daemon_log import DaemonLog

if TYPE_CHECKING:
    from collections.abc import Collection

State = Literal[
    "starting",
    "replicating",
    "mending",
    "stalled",
    "standby",
    "backing off",
    "stopped",
    "failed",
]


class Told:
    """The state of a replication, changed by the events that come from its keeper."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.log = DaemonLog()
        self.forget()

    def forget(self) -> None:
        """Begin anew; the log's last lines are kept."""
        self.state: State = "stopped"
        self.pid: int | None = None
        self.age = 0.0
        self.restarts = self._earlier = 0
        self.last_error: str | None = None
        self.misconfigured = False
        self.synced: bool | None = None
        self.positions: dict[str, dict[str, Position03]] = {}

    def receive(self, event: dict[str, Any]) -> None:
        """Take an event of the keeper's (see `Supervisor`)."""
        if "log" in event:
            error = self.log.line(event["log"], event.get("dropped", 0))
            self.last_error = error or self.last_error
        if "fault" in event:
            self.fault(event["fault"])
        if "position" in event:
            database, replica, position = event["position"]
            self.positions.setdefault(database, {})[replica] = Position03(*position)
        if "synced" in event:
            self.synced = event["synced"]
        if "state" in event:
            with self.changed:
                self.restarts = self._earlier + event["restarts"]
                self.age = event.get("age", 0.0)
                self.misconfigured = event.get("misconfigured", False)
                self.pid = event.get("pid", self.pid)
                if event["error"]:
                    self.last_error = self.log.reason(event["error"])
                self.change(event["state"])

    def fault(self, text: str) -> None:
        """Log what is wrong, and keep it as the last error."""
        self.log.error(text)
        self.last_error = escaped(_settings.masked(text))

    def lose(self, because: str) -> None:
        """Note that the keeper is gone: whether there was a final sync is unknown."""
        self.synced = False
        self._earlier = self.restarts
        self.fault(because)

    def change(self, state: State) -> None:
        """Change the state, and wake the threads that wait for it."""
        with self.changed:
            self.state = state
            if state in ("backing off", "stopped", "failed"):
                self.pid = None
            self.changed.notify_all()

    def wait_while(self, states: Collection[State], timeout: float) -> None:
        """Wait for another state, for at most so many seconds."""
        with self.changed:
            self.changed.wait_for(lambda: self.state not in states, timeout)
