"""One daemon: its process, its log, its control socket. Nothing here waits."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from selectors import EVENT_READ

from litestream._control_socket.nonblocking import Request
from litestream._executable import messages
from litestream._supervision.spawn import parent_death_signal, spawn
from litestream._supervision.watchdog import says

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from selectors import BaseSelector

    from litestream._database.lock import Lock
    from litestream._supervision.job import Job

_LINE = 8192
"""Bytes of a log line that are kept."""
_UP_AFTER = 3.0
"""Seconds after which a silent daemon counts as up: its log level may be "warn"."""


def orphan_signal(series: str) -> signal.Signals:
    """Return the signal that ends a daemon whose keeper is gone.

    0.5 does a final sync. 0.3.13 may write a part of the WAL twice while it ends, and its restore
    then loses what follows. Only a keeper that reads the log notices that (see `watchdog`).
    """
    return signal.SIGTERM if series == "0.5" else signal.SIGKILL


class Daemon:
    """A daemon that is started again and again; `hear` is called with each line of its log."""

    def __init__(
        self,
        job: Job,
        selector: BaseSelector,
        hear: Callable[[str], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.pid = 0
        self._environment = environment
        self._job = job
        self._selector = selector
        self._hear = hear
        self._log: int | None = None
        self._rest = b""
        self._announced = False
        self._started = 0.0
        self._kill_at = math.inf
        self._asked: dict[str, Request] = {}

    @property
    def age(self) -> float:
        """Return the seconds since the daemon was started."""
        return time.monotonic() - self._started

    @property
    def is_ending(self) -> bool:
        """Tell whether the daemon has closed its log: it ends, or waits to be reaped."""
        return bool(self.pid) and self._log is None

    def start(self, locks: Sequence[Lock], *flags: str) -> None:
        """Start the daemon with the locks, a umask of 077, and its output in a pipe to us.

        A session of its own keeps Ctrl-C away from the daemon: 0.5 takes a second signal, beside
        our SIGTERM, for the wish to skip the final sync.

        Raises:
            OSError: The program cannot be run.

        """
        self._kill_at = math.inf
        log, output = os.pipe()
        os.set_blocking(log, False)
        self._log = log
        passed = [os.dup(lock.file) for lock in locks if lock.file is not None]
        die_with_parent = parent_death_signal(orphan_signal(self._job.series))

        def prepare() -> None:
            os.setsid()
            die_with_parent()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            for file in passed:
                os.set_inheritable(file, True)
            if sys.platform == "linux":
                # The daemon inherits the reading end too. When our death ends it, it would die of
                # SIGPIPE at the first line of its log, before the final sync. On macOS no signal
                # follows our death: there SIGPIPE ends the daemon.
                os.set_inheritable(log, True)
            os.umask(0o077)  # 0.5.17 restores a private database as 0644

        self._started, self._announced, self._rest = time.monotonic(), False, b""
        try:
            self.pid = spawn([*self._job.argv, *flags], prepare, self._environment)
        except BaseException:
            os.close(log)
            self._log = None
            raise
        finally:
            for file in (output, *passed):
                os.close(file)
        self._selector.register(log, EVENT_READ, self._read)

    def signal(self, number: int) -> None:
        """Send the daemon a signal."""
        os.kill(self.pid, number)

    def end(self, timeout: float) -> None:
        """Send SIGTERM; `kill_if_late` kills the daemon after so many seconds."""
        self.kill_after(timeout)
        self.signal(signal.SIGTERM)

    def kill_after(self, timeout: float) -> None:
        """Let `kill_if_late` kill the daemon after so many seconds."""
        self._kill_at = time.monotonic() + timeout

    @property
    def must_end(self) -> bool:
        """Tell whether the daemon is ending, and is killed if that takes too long."""
        return self._kill_at != math.inf

    def kill_if_late(self) -> bool:
        """Kill the daemon if it should have ended by now; return whether it was killed."""
        if time.monotonic() <= self._kill_at:
            return False
        self._kill_at = math.inf
        self.signal(signal.SIGKILL)
        return True

    def reap(self, reaped: dict[int, int]) -> int | None:
        """Return the daemon's wait status once it has ended, else None.

        Where the caller reaps every child of the process, `reaped` holds the status.
        """
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.pid, reaped.pop(self.pid, 0)
        if pid == 0:
            return None
        while self._log is not None and self._read():
            pass
        self._close_log()  # another process may hold the pipe open
        self.pid = 0
        return status

    def is_up(self) -> bool:
        """Tell whether the daemon is up: its log said so, or its own socket answers."""
        if self._announced or self.age > _UP_AFTER:
            return True
        answer = self._ask("", "GET", "/info")
        return answer is not None and b'"pid":%d,' % self.pid in answer.replace(b" ", b"")

    def has_synced(self, database: str) -> bool:
        """Tell whether the daemon has answered a bare `/sync`; the first call sends the request.

        `wait` and `timeout` are never sent: either makes 0.5.17 lose its read transaction.
        """
        import json

        body = json.dumps({"path": database}).encode()
        return self._ask(database, "POST", "/sync", body) is not None

    def give_up_asking(self) -> None:
        """Forget the requests that are under way."""
        for request in self._asked.values():
            request.close()
        self._asked = {}

    def _ask(self, key: str, method: str, target: str, body: bytes = b"") -> bytes | None:
        if not self._job.socket:
            return None
        try:
            if key not in self._asked:
                self._asked[key] = Request(self._job.socket, method, target, body)
            answer = self._asked[key].poll()
        except OSError:
            self._asked.pop(key, None)
            return None
        if answer is None:
            return None
        del self._asked[key]
        status, content = answer
        return content if status == 200 else None

    def _read(self) -> bool:
        """Read the log as far as it goes; return whether there was anything."""
        assert self._log is not None
        try:
            piece = os.read(self._log, 65536)
        except BlockingIOError:
            return False
        if not piece:
            self._close_log()
            return False
        *lines, rest = (self._rest + piece).split(b"\n")
        self._rest = rest[:_LINE]
        for line in lines:
            text = line[:_LINE].decode("utf-8", "replace")
            if says(text, *messages.STARTED):
                self._announced = True
            self._hear(text)
        return True

    def _close_log(self) -> None:
        if self._log is not None:
            self._selector.unregister(self._log)
            os.close(self._log)
            self._log = None
