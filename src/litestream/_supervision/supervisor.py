"""Keep one daemon running: lock, hand-over, restart, health, stop. One process, no thread.

The caller has the loop: it calls `Supervisor.tick`, and waits for the files in `selector` for as
long as `tick` says. `keeper` is such a loop beside an application, `litestream run` one in the
foreground.
"""

from __future__ import annotations

import errno
import os
import signal
import time

from litestream._executable import messages
from litestream._supervision.account import Account
from litestream._supervision.backoff import Backoff
from litestream._supervision.daemon import Daemon
from litestream._supervision.final_sync import FinalSync
from litestream._supervision.following import locks_of
from litestream._supervision.held import Held
from litestream._supervision.oversight import Oversight
from litestream._supervision.watchdog import Health
from litestream.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from selectors import BaseSelector
    from typing import Any

    from litestream._supervision.job import Job

_STAND_BY = 0.25
"""Seconds between two tries to take the locks."""
_SNAPSHOT = ("-once", "-force-snapshot")


class Supervisor:
    """One daemon, in our environment or a given one; `report` is called with each event."""

    def __init__(
        self,
        job: Job,
        selector: BaseSelector,
        report: Callable[[Mapping[str, Any]], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.finished = False
        self.reaped: dict[int, int] = {}
        locks = locks_of(job)
        self._backoff = Backoff(*job.delays)
        self._account = Account(job, locks, report, self._backoff)
        self._final_sync = FinalSync(job.series)
        self._held = Held(job, locks, self._account)
        self._health = Health(job)
        self._daemon = Daemon(job, selector, lambda line: self._oversight.hear(line), environment)
        self._oversight = Oversight(
            self._held, self._daemon, self._health, self._account, self._final_sync
        )
        self._is_first_of_two = self._killed_off = False
        self._running = self._ran_before = False
        self._next: Callable[[], float] = self._stand_by

    @property
    def pid(self) -> int:
        """Return the daemon's process id, 0 when there is none."""
        return self._daemon.pid

    @property
    def state(self) -> str:
        """Return the daemon's state."""
        return self._account.state

    @property
    def restarts(self) -> int:
        """Return how often the daemon was started again."""
        return self._backoff.restarts

    @property
    def synced(self) -> float:
        """Return when all was last seen to be in the replica (monotonic); 0 if not yet."""
        return self._health.synced if self.state == "replicating" else 0.0

    def tick(self) -> float:
        """Do what is due, and return after how many seconds to call again."""
        if self.finished:
            return 0.0
        self._held.keep()
        pause = self._next()
        return min(pause, 0.02) if self._daemon.is_ending else pause

    def replace(self, job: Job) -> None:
        """Go on with another job: other databases, the same run-time directory and socket."""
        self._held.follow_with(job)

    def stop(self) -> None:
        """Begin to stop: a final sync, then the end; `finished` says when."""
        if self._final_sync or self.finished:
            return
        self._final_sync.begin(self._held.job.stop_timeout)
        if not self._daemon.pid and self._next == self._idle:
            self._oversight.is_leaving = True  # for what has appeared just now
            self._start()
        elif not self._daemon.pid and self.state == "backing off":
            self._start()  # for the final sync
        if not self._daemon.pid:
            if not self.finished:
                self._finish()
            return
        self._final_sync.settle(self._held.job.stop_timeout)
        self._next = self._settle

    def expect_end(self) -> None:
        """Pin the WALs at once: somebody else may have told the daemon to end."""
        if self._running and not self._final_sync and not self._health.files.replaced():
            self._oversight.expect_end()

    # The states, in the order in which they come.

    def _stand_by(self) -> float:
        if self._held.following is not None:
            self._take_over(locked=False)
        try:
            free = self._held.acquire()
        except ConfigurationError as error:
            self._fail(str(error), misconfigured=True)
            return 0.0
        if not free:
            if self.state != "standby":
                self._tell("standby")
            return _STAND_BY
        stranger = self._held.hindrance()
        if stranger:
            self._fail(stranger)
            return 0.0
        lack = self._held.too_few_files()
        if lack:
            self._account.report({"fault": lack})
        self._held.mending.take_notes()
        self._oversight.begin_handover()
        return self._start()

    def _start(self) -> float:
        if self._held.is_lost():
            return self._take_locks_again()
        may_follow = self._oversight.is_leaving or not self._final_sync
        if may_follow and self._held.may_follow(self._daemon.pid):
            self._take_over()
            self._oversight.begin_handover()
        if not self._held.job.databases:
            self._oversight.is_leaving = False
            if self._final_sync:
                self._finish()
                return 0.0
            self._tell("replicating")
            self._next = self._idle
            return _STAND_BY
        if self._oversight.is_forbidden():
            self._backoff.wait(_STAND_BY)
            self._next = self._back_off
            return _STAND_BY
        self._oversight.begin_anew()
        self._held.settle_copies()
        whole, hole = self._oversight.whole, self._held.mending.hole
        self._held.handovers.arm(whole=whole, killed=self._killed_off, hole=hole)
        self._oversight.whole = self._running = self._killed_off = False
        self._oversight.is_leaving = False
        try:
            self._held.write_config()
            self._is_first_of_two = self._held.handovers.pages_changed()
            self._daemon.start(self._held.locks, *(_SNAPSHOT if self._is_first_of_two else ()))
        except OSError as error:
            lack = self._held.too_few_files() if error.errno == errno.EMFILE else ""
            self._fail(lack or f"{error.filename}: {error.strerror}")
            return 0.0
        self._tell("starting", pid=self._daemon.pid)
        if not self._final_sync:
            self._account.forgotten(self._health.registered)
        self._health.started()
        self._account.note_started(self._health.files.identities())
        self._next = self._wait_for_snapshot if self._is_first_of_two else self._watch
        return 0.005

    def _take_locks_again(self) -> float:
        """Free the locks, since one was replaced or removed; the first process takes them all."""
        self._held.release()
        self._oversight.is_leaving = False
        if self._final_sync:
            self._final_sync.error = self._account.error or "a lock was replaced or removed"
        self._next = self._stand_by
        return 0.0

    def _watch(self) -> float:
        if self._ended():
            return 0.0
        if not self._running and self._daemon.is_up():
            self._running = self._ran_before = True
            self._account.note_socket()
            self._tell("replicating")
        if self._daemon.kill_if_late():
            return 0.05
        self._oversight.poll_handovers()
        return self._oversight.look() if self._running else 0.005

    def _idle(self) -> float:
        """Wait for a database."""
        return self._start() if self._held.may_follow(self._daemon.pid) else _STAND_BY

    def _wait_for_snapshot(self) -> float:
        """Wait for a daemon that makes a snapshot and ends; then start one that stays."""
        self._ended()
        return 0.05

    def _back_off(self) -> float:
        left = self._backoff.left
        return left if left > 0 else self._start()

    def _settle(self) -> float:
        """Wait until the daemon has looked at its databases, for the final sync to cover them."""
        if self._ended():
            return 0.0
        pause = self._oversight.settle()
        if not pause:
            self._next = self._wait_for_end
        return pause or 0.005

    def _wait_for_end(self) -> float:
        if self._ended():
            return 0.0
        if self._final_sync.left < 0 and not self._final_sync.killed:
            self._final_sync.killed = True
            self._daemon.signal(signal.SIGKILL)
        return 0.01

    # The steps of the states.

    def _ended(self) -> bool:
        """Tell whether the daemon has ended, and do what follows from that."""
        life = self._daemon.age
        status = self._daemon.reap(self.reaped)
        if status is None:
            return False
        error = self._account.error
        # A signal leaves no time for a final sync, and a panic (status 2) does none.
        self._killed_off = os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 2
        self._oversight.ended()
        if self._oversight.is_leaving and not self._final_sync.killed:
            if not self._killed_off:
                self._held.handovers.note_end(self._health.looked)
            self._start_again()
        elif self._is_first_of_two and not status:
            self._start_again()
        elif self._final_sync and self._must_repeat():
            self._final_sync.repeat()
            self._start_again()
        elif self._final_sync:
            if not self._final_sync.signalled:
                self._final_sync.error = (
                    self._account.error or "the daemon ended before its final sync"
                )
            self._finish()
        elif status and not (self._ran_before or any(t in error for t in messages.TRANSIENT)):
            code = os.waitstatus_to_exitcode(status)
            self._fail(error or f"the daemon ended with exit status {code}")
        elif self._backoff.is_used_up(self._held.job.max_restarts):
            self._fail(error or "the daemon ended too often")
        else:
            self._restart(life)
        return True

    def _must_repeat(self) -> bool:
        replaced = self._oversight.whole or self._oversight.is_replaced()
        return self._final_sync.must_repeat(self._held.settle_copies, replaced=replaced)

    def _start_again(self) -> None:
        self._oversight.begin_handover()
        self._start()
        if self._final_sync and self._daemon.pid:
            self._next = self._settle
        elif self._final_sync and not self.finished:
            self._finish()

    def _take_over(self, *, locked: bool = True) -> None:
        self._held.take_over(locked=locked)
        self._health.take_over(self._held.job)

    def _restart(self, life: float) -> None:
        self._backoff.restart(life)
        self._oversight.begin_handover()
        self._tell("backing off")
        self._next = self._back_off

    def _fail(self, error: str, **more: object) -> None:
        self._account.error = error
        self._account.notes.state("failed", 0, self.restarts)
        self._close()
        if self._ran_before:
            self._account.report({"synced": False, "killed": False})
        self._tell("failed", **more)

    def _finish(self) -> None:
        following = self._held.following
        if following is not None and self.state != "standby":
            self._final_sync.error = self._final_sync.error or following.lack
        if self._final_sync.signalled and not self._final_sync.killed:
            self._held.handovers.note_end(self._health.looked)
            self._account.note_files()
        synced = self._final_sync.reached
        more = {"synced": time.time()} if synced else {}
        self._account.notes.state("stopped", 0, self.restarts, **more)
        self._close()
        self._account.report({"synced": synced, "killed": self._final_sync.killed})
        self._tell("stopped")

    def _close(self) -> None:
        self._daemon.give_up_asking()
        self._health.give_up_asking()
        self._health.files.close()
        self._held.close()
        self.finished = True

    def _tell(self, state: str, **more: object) -> None:
        self._account.change(state, self._daemon.pid, self._health, **more)
