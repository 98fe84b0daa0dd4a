"""The process between an application and its daemon.

Why a process of its own, and not a thread of the application's:

- When the application dies, even by SIGKILL, its end of the pipe closes. That is the signal to sync
  and to end the daemon, on Linux and on macOS, without polling.
- gunicorn's master reaps every child, and would take the daemon's exit status. The daemon is the
  keeper's child instead.
- The hand-over opens the database. That is dangerous in the application's process, which may have
  a SQLite library of its own: closing a file drops all locks on it (POSIX).
- A fork of the application, a thread that ends, a signal for the whole terminal: none of them
  reaches the keeper.

The keeper reads its job from its standard input, and ends the daemon when the input is closed. It
ignores SIGINT, SIGHUP and SIGTERM, so that the daemon outlives the application when systemd signals
a whole group. It writes events as lines of JSON to its standard output.
"""

from __future__ import annotations

import os
import select
import signal
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

from litestream._config.runtime_directory import remove
from litestream._database.open_files import raise_file_limit
from litestream._supervision.job import received
from litestream._supervision.supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_BACKLOG = 1 << 18
"""Bytes that may wait for a slow reader; further log lines are dropped and counted."""


class Events:
    """Events on their way to the application, which may be slow or stopped: never blocks."""

    def __init__(self, file: int, selector: DefaultSelector) -> None:
        self.dropped = 0
        self._file = file
        self._selector = selector
        self._waiting = bytearray()
        self._registered = False
        os.set_blocking(file, False)

    def report(self, event: Mapping[str, Any]) -> None:
        """Send an event. A log line is dropped while too much is waiting."""
        import json

        if "log" in event and len(self._waiting) > _BACKLOG:
            self.dropped += 1
            return
        if "log" in event and self.dropped and len(self._waiting) <= _BACKLOG // 2:
            event, self.dropped = {"dropped": self.dropped, **event}, 0
        self._waiting += json.dumps(event).encode() + b"\n"
        self.write()

    def write(self) -> None:
        """Write what the pipe takes."""
        try:
            while self._waiting:
                del self._waiting[: os.write(self._file, self._waiting)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._waiting.clear()
        if bool(self._waiting) != self._registered:
            self._registered = not self._registered
            if self._registered:
                self._selector.register(self._file, EVENT_WRITE, self.write)
            else:
                self._selector.unregister(self._file)

    def flush(self) -> None:
        """Write the last events, waiting a second for the reader."""
        if self._waiting and select.select((), (self._file,), (), 1.0)[1]:
            self.write()


def main() -> None:
    """Do the job on standard input until that is closed."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # A handler and not SIG_IGN, which the daemon would inherit.
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    raise_file_limit()
    job = received(0)
    if job is None:
        return
    selector = DefaultSelector()
    events = Events(1, selector)
    supervisor = Supervisor(job, selector, events.report)

    def told() -> None:
        """Go on with another job; or stop, once the application's end is closed."""
        following = received(0)
        if following is not None:
            supervisor.replace(following)
            return
        selector.unregister(0)
        supervisor.stop()

    def signalled() -> None:
        """Expect the daemon's end on SIGTERM: a signal to the process group reaches it, too."""
        if signal.SIGTERM in os.read(woken, 64):
            supervisor.expect_end()

    selector.register(0, EVENT_READ, told)
    selector.register(woken, EVENT_READ, signalled)
    try:
        while not supervisor.finished:
            for key, _ in selector.select(supervisor.tick()):
                key.data()
        events.flush()
    finally:
        remove(job.directory)


if __name__ == "__main__":
    main()
