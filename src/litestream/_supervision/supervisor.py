"""Keep one daemon running: lock, hand-over, restart, health, stop. One process, no thread.

The loop is the caller's: it calls `Supervisor.tick` and waits, for as long as that says, for the
files in `selector`. `keeper` runs it beside an application, `litestream run` in the
foreground.
"""

from __future__ import annotations

import errno
import math
import os
import signal
import time
from contextlib import suppress

from litestream._config.runtime_directory import keep, remove, write
from litestream._database.connect import schema_version
from litestream._database.lock import Lock
from litestream._executable import messages
from litestream._supervision import foreign_daemons
from litestream._supervision.daemon import Daemon
from litestream._supervision.handover import Handovers
from litestream._supervision.mending import Mending
from litestream._supervision.notes import Notes
from litestream._supervision.spawn import too_few_files
from litestream._supervision.watchdog import Health, is_error, says
from litestream.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from selectors import BaseSelector
    from typing import Any

    from litestream._supervision.job import Job

_STAND_BY = 0.25
"""Seconds between two looks whether the lock is free."""
_SHORT_LIFE, _QUIET = 5.0, 60.0
_SETTLE = 5.0
"""Seconds that a stop waits for a young daemon's first look at its databases. That comes one
monitor interval after its start; told to end before, a daemon replicates nothing."""
_KEEP_EVERY = 3600.0
_LOOK, _LOOK_BUSY = 0.25, 0.02
"""Seconds between two looks at what the daemon has copied; and while a hole is being mended."""
_TWICE = "a part of the WAL was written twice, and 0.3.13 restores nothing that follows it"
_SNAPSHOT = ("-once", "-force-snapshot")


class Supervisor:
    """One daemon's keeper. `report` is called with what there is to tell.

    The daemon has our environment, unless another one is given.
    """

    def __init__(
        self,
        job: Job,
        selector: BaseSelector,
        report: Callable[[Mapping[str, Any]], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.job = job
        self.finished = False
        self.state = "stopped"
        self.restarts = 0
        self.reaped: dict[int, int] = {}
        self._selector = selector
        self._report = report
        self._locks = [
            Lock(path) for path in sorted({os.path.realpath(d.path) for d in job.databases})
        ]
        self._notes = Notes(self._locks)
        self._handovers = Handovers(job, self._locks)
        self._mending = Mending(job, self._locks, self._report_fault)
        self._health = Health(job)
        self._daemon = Daemon(job, selector, self._hear, environment)
        self._error = ""
        self._stop_error = ""
        self._forbidden = ""
        self._is_first_of_two = False
        self._running = False
        self._ran_before = False
        self._whole = False
        self._killed_off = False
        self._delay = 0.0
        self._due = 0.0
        self._deadline = self._keep_at = self._pinned_until = 0.0
        self._kill_at = math.inf
        self._retried = self._mended = False
        self._signalled = False
        self._killed = False
        self._next: Callable[[], float] = self._stand_by

    @property
    def pid(self) -> int:
        """Return the daemon's process id, 0 when there is none."""
        return self._daemon.pid

    @property
    def synced(self) -> float:
        """Return when all was last seen to be in the replica (monotonic); 0 if not yet."""
        return self._health.synced if self.state == "replicating" else 0.0

    def tick(self) -> float:
        """Do what is due, and return after how many seconds to call again."""
        if self.finished:
            return 0.0
        if time.monotonic() > self._keep_at:
            self._keep_at = time.monotonic() + _KEEP_EVERY
            keep(self.job.directory)
        pause = self._next()
        return min(pause, 0.02) if self._daemon.is_ending else pause

    def stop(self) -> None:
        """Begin to stop: a final sync, then the end; `finished` says when."""
        if self._deadline or self.finished:
            return
        self._deadline = time.monotonic() + self.job.stop_timeout
        if not self._daemon.pid and self.state == "backing off":
            self._start()  # for the final sync
        if not self._daemon.pid:
            if not self.finished:
                self._finish()
            return
        self._due = time.monotonic() + min(_SETTLE, self.job.stop_timeout / 2)
        self._next = self._settle

    def expect_end(self) -> None:
        """Pin the WALs at once: somebody else may have told the daemon to end."""
        if self._running and not self._deadline and not self._health.replaced():
            self._handovers.hold_for_end()
            self._pinned_until = time.monotonic() + _SETTLE

    # The states, in the order in which they come.

    def _stand_by(self) -> float:
        taken: list[Lock] = []
        for lock in self._locks:
            try:
                free = lock.acquire()
            except ConfigurationError as error:
                self._fail(str(error), misconfigured=True)
                return 0.0
            if not free:
                for other in taken:
                    other.release()
                if self.state != "standby":
                    self._tell("standby")
                return _STAND_BY
            taken.append(lock)
        stranger = foreign_daemons.find(d.path for d in self.job.databases)
        if stranger is not None:
            self._fail(
                f"a Litestream that this library did not start replicates {stranger[1]} (process "
                f"{stranger[0]}); two would destroy the replica. Stop that one first"
            )
            return 0.0
        lack = too_few_files(len(self.job.databases))
        if lack:
            self._report({"fault": lack})
        self._begin_handover()
        return self._start()

    def _start(self) -> float:
        forbidden = self._health.forbidden()
        if forbidden:
            self._wait_for_permission(forbidden)
            return _STAND_BY
        if self._forbidden:
            self._forbidden = ""
            self._begin_handover()
        self._settle_copies()
        self._handovers.arm(whole=self._whole, killed=self._killed_off, hole=self._mending.hole)
        self._whole = self._running = self._killed_off = False
        self._kill_at = math.inf
        try:
            write(self.job.directory, self.job.config)
            self._is_first_of_two = self._handovers.pages_changed()
            self._daemon.start(self._locks, *(_SNAPSHOT if self._is_first_of_two else ()))
        except OSError as error:
            lack = too_few_files(len(self.job.databases)) if error.errno == errno.EMFILE else ""
            self._fail(lack or f"{error.filename}: {error.strerror}")
            return 0.0
        self._tell("starting", pid=self._daemon.pid)
        self._health.started()
        self._next = self._wait_for_snapshot if self._is_first_of_two else self._watch
        return 0.005

    def _wait_for_permission(self, forbidden: str) -> None:
        if forbidden != self._forbidden:
            self._forbidden = forbidden
            self._report_fault({"fault": forbidden})
            self._tell("backing off")
        if self._deadline:
            self._stop_error = forbidden
        self._due = time.monotonic() + _STAND_BY
        self._next = self._back_off

    def _watch(self) -> float:
        if self._ended():
            return 0.0
        if not self._running and self._daemon.is_up():
            self._running = self._ran_before = True
            self._note_socket()
            self._tell("replicating")
        if time.monotonic() > self._kill_at:
            self._kill_at = math.inf
            self._daemon.signal(signal.SIGKILL)
            return 0.05
        if self._handovers and time.monotonic() > self._pinned_until:
            self._poll_handovers()
        if not self._running:
            return 0.005
        self._notes.flush(self._health.positions)
        changed = self._health.replaced()
        if changed:
            self._report({"fault": changed})
            self._error = changed
            # No final sync: it would mix the old file's pages with the new one's.
            self._daemon.signal(signal.SIGKILL)
            self._whole = True
            return 0.05
        if self._health.lost_tables and self._kill_at == math.inf:
            self._health.lost_tables = False
            self._report_fault({"fault": "Litestream's tables were dropped; it starts again"})
            self._daemon.signal(signal.SIGTERM)
            self._kill_at = time.monotonic() + self.job.stop_timeout
            return 0.05
        if self._is_lost():
            self._report({"fault": f"{self.job.directory} was removed; the daemon starts again"})
            self._kill_at = time.monotonic() + self.job.stop_timeout
            self._daemon.signal(signal.SIGTERM)
            return 0.05
        clean = self._mending.look()
        if self._mending.torn and self._kill_at == math.inf:
            self._kill_at = time.monotonic() + self.job.stop_timeout
            self._daemon.signal(signal.SIGTERM)
        state = "mending" if self._mending.holes else self._health.look()
        if state != self.state:
            self._tell(state, age=self._health.age)
        if self._handovers:
            return 0.005 if self._daemon.age < 2 else 0.05
        return _LOOK if clean else _LOOK_BUSY

    def _wait_for_snapshot(self) -> float:
        """Wait for a daemon that makes a snapshot and ends; then start one that stays."""
        self._ended()
        return 0.05

    def _poll_handovers(self) -> None:
        done = self._handovers.poll(self._daemon.has_synced)
        self._health.looked.update(handover.database for handover in done)
        for handover in done:
            if handover.broken:
                self._mending.declare(
                    handover.database, "the daemon missed changes while it started"
                )

    def _begin_handover(self) -> None:
        self._daemon.give_up_asking()
        if not self._health.forbidden():
            self._handovers.begin()

    def _back_off(self) -> float:
        left = self._due - time.monotonic()
        return left if left > 0 else self._start()

    def _settle(self) -> float:
        """Wait until the daemon has looked at its databases, for the final sync to cover them."""
        if self._ended():
            return 0.0
        if self._handovers:
            self._poll_handovers()
        if not self._health.has_looked(self._daemon.has_synced):
            if time.monotonic() < self._due:
                return 0.01
            if self.job.series == "0.3" or self.job.socket:  # else nobody can tell
                self._stop_error = self._error or "the daemon never looked at its databases"
        if not self._mending.look() and time.monotonic() < self._deadline - _SETTLE:
            return _LOOK_BUSY
        self._daemon.give_up_asking()
        self._handovers.hold_for_end()
        if self._kill_at == math.inf:  # a second SIGTERM would end 0.5's final sync
            self._daemon.signal(signal.SIGTERM)
        self._signalled = True
        self._next = self._wait_for_end
        return 0.005

    def _wait_for_end(self) -> float:
        if self._ended():
            return 0.0
        if time.monotonic() > self._deadline and not self._killed:
            self._killed = True
            self._daemon.signal(signal.SIGKILL)
        return 0.01

    # What they are made of.

    def _report_fault(self, event: Mapping[str, Any]) -> None:
        self._error = event["fault"]
        self._report(event)

    def _hear(self, text: str) -> None:
        if is_error(text) or text.startswith(messages.ERROR):
            self._error = text
        if says(text, messages.SIGNAL):  # not always of ours; 0.3 may hang in its end
            self._kill_at = time.monotonic() + self.job.stop_timeout
        if self._signalled and self._health.is_unsynced(text):
            self._stop_error = text
        position = self._health.hear(text)
        while self._health.overlapping:  # told before the position is: nothing has arrived there
            self._mending.declare(self._health.overlapping.pop(), _TWICE)
        if position is not None:
            self._notes.arrived(position[0])
            self._report({"position": position})
        self._report({"log": text})

    def _is_lost(self) -> bool:
        """Tell whether nobody can reach the daemon any more; its config is simply written again."""
        with suppress(OSError):
            write(self.job.directory, self.job.config)
        known = self.job.directory and self.job.socket and self._daemon.age > _SHORT_LIFE
        return bool(known) and self._kill_at == math.inf and not os.path.exists(self.job.socket)

    def _note_socket(self) -> None:
        """Tell others where the socket is, and remove what a killed predecessor left behind."""
        for lock in self._locks:
            before = str(lock.noted().get("directory", ""))
            if before != self.job.directory:
                remove(before)
            lock.note(socket=self.job.socket, directory=self.job.directory)
        self._note_files()

    def _note_files(self) -> None:
        """Note which files these are, lest a new one replaces their backups (`recovery.guard`)."""
        for lock in self._locks:
            with suppress(OSError):
                found = os.stat(lock.database)
                lock.note(
                    replicated=[found.st_dev, found.st_ino], schema=schema_version(lock.database)
                )

    def _ended(self) -> bool:
        """Tell whether the daemon has ended, and do what follows from that."""
        life = self._daemon.age
        status = self._daemon.reap(self.reaped)
        if status is None:
            return False
        # By a signal that leaves it no time for a final sync, or a panic (2).
        self._killed_off = os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 2
        if self._is_first_of_two and not status:
            self._begin_handover()
            self._start()
            self._next = self._settle if self._deadline else self._next
        elif self._deadline and self._must_repeat():
            self._signalled, self._stop_error = False, ""
            self._begin_handover()
            self._start()
            self._next = self._settle
        elif self._deadline:
            if not self._signalled:
                self._stop_error = self._error or "the daemon ended before its final sync"
            self._finish()
        elif (
            not self._ran_before
            and status
            and not any(t in self._error for t in messages.TRANSIENT)
        ):
            code = os.waitstatus_to_exitcode(status)
            self._fail(self._error or f"the daemon ended with exit status {code}")
        elif self.job.max_restarts is not None and self.restarts >= self.job.max_restarts:
            self._fail(self._error or "the daemon ended too often")
        else:
            self._restart(life)
        return True

    def _settle_copies(self) -> bool:
        """Find out, without a daemon, whether what was copied is what was committed."""
        clean = self._mending.settle()
        if self._mending.torn:
            self._handovers.let_go()
            self._mending.empty()
        return clean

    def _must_repeat(self) -> bool:
        """Tell whether the final sync is to be done once more, by another daemon.

        0.3.13's monitor and its final sync may write the same segment at the same moment; then
        one of them fails, and the newest changes may not be in the replica.
        """
        if self._killed or time.monotonic() > self._deadline:
            return False
        if self.job.series == "0.3" and self._stop_error and not self._retried:
            self._retried = True
            return True
        if not self._settle_copies():
            if not self._mended:
                self._mended = True
                return True
            self._stop_error = "changes that were committed are missing from the replica"
        return False

    def _restart(self, life: float) -> None:
        self.restarts += 1
        first, last = self.job.delays
        if life > _QUIET:
            self._delay = 0.0
        elif life < _SHORT_LIFE or self._delay:
            self._delay = min(max(self._delay * 2, first), last)
        jitter = 0.8 + 0.2 * os.urandom(1)[0] / 255  # `random` takes long to import
        self._due = time.monotonic() + self._delay * jitter
        self._pinned_until = 0.0
        self._begin_handover()
        self._tell("backing off")
        self._next = self._back_off

    def _fail(self, error: str, **more: object) -> None:
        self._error = error
        self._notes.state("failed", 0, self.restarts)
        self._close()
        if self._ran_before:
            self._report({"synced": False, "killed": False})
        self._tell("failed", **more)

    def _finish(self) -> None:
        if self._signalled and not self._killed:
            self._handovers.note_end(self._health.looked)
            self._note_files()
        synced = not self._killed and not self._stop_error
        more = {"synced": time.time()} if synced else {}
        self._notes.state("stopped", 0, self.restarts, **more)
        self._close()
        self._report({"synced": synced, "killed": self._killed})
        self._tell("stopped")

    def _close(self) -> None:
        self._handovers.close()
        self._mending.close()
        self._daemon.give_up_asking()
        self._health.give_up_asking()
        for lock in self._locks:
            lock.release()
        self.finished = True

    def _tell(self, state: str, **more: object) -> None:
        self.state = state
        self._notes.state(
            state, self._daemon.pid, self.restarts, self._health.age, talks=self._health.talks
        )
        self._report({"state": state, "restarts": self.restarts, "error": self._error, **more})
