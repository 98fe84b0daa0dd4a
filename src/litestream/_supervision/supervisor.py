"""Keep one daemon running: lock, hand-over, restart, health, stop. One process, no thread.

The loop is the caller's: it calls `Supervisor.tick` and waits, for as long as that says, for the
files in `selector`. `keeper` runs it beside an application, `litestream run` in the foreground.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from contextlib import suppress

from litestream._config.runtime_directory import forget, keep, write
from litestream._database import foreign_daemons
from litestream._database.lock import acquire_all
from litestream._executable import messages
from litestream._supervision.account import Account
from litestream._supervision.backoff import Backoff
from litestream._supervision.daemon import Daemon
from litestream._supervision.final_sync import SETTLE, FinalSync
from litestream._supervision.following import Following, locks_of
from litestream._supervision.handover import Handovers
from litestream._supervision.mending import Mending
from litestream._supervision.oversight import LOOK_BUSY, Oversight
from litestream._supervision.spawn import too_few_files
from litestream._supervision.watchdog import Health
from litestream.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from selectors import BaseSelector
    from typing import Any

    from litestream._supervision.job import Job

_STAND_BY = 0.25
"""Seconds between two looks whether the lock is free."""
_KEEP_EVERY = 3600.0
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
        self.job = job
        self.finished = False
        self.reaped: dict[int, int] = {}
        self._locks = locks_of(job)
        self._backoff = Backoff(*job.delays)
        self._account = Account(job, self._locks, report, self._backoff)
        self._final_sync = FinalSync(job.series)
        self._handovers = Handovers(job, self._locks)
        self._mending = Mending(job, self._locks, self._account.fault)
        self._health = Health(job)
        self._daemon = Daemon(job, selector, lambda line: self._oversight.hear(line), environment)
        looks = self._handovers, self._mending, self._health
        self._oversight = Oversight(job, self._daemon, *looks, self._account, self._final_sync)
        self._forbidden = ""
        self._is_first_of_two = self._killed_off = False
        self._running = self._ran_before = False
        self._keep_at = self._pinned_until = 0.0
        self._next: Callable[[], float] = self._stand_by

    @property
    def pid(self) -> int:
        """Return the daemon's process id, 0 when there is none."""
        return self._daemon.pid

    @property
    def state(self) -> str:
        """Return what the daemon does."""
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
        if time.monotonic() > self._keep_at:
            self._keep_at = time.monotonic() + _KEEP_EVERY
            keep(self.job.directory)
        pause = self._next()
        return min(pause, 0.02) if self._daemon.is_ending else pause

    def replace(self, job: Job) -> None:
        """Go on with another job: other databases, the same run-time directory and socket."""
        if self._oversight.following is not None:
            self._oversight.following.close()
        self._oversight.following = Following(job, self._locks, self._account.report)

    def stop(self) -> None:
        """Begin to stop: a final sync, then the end; `finished` says when."""
        if self._final_sync or self.finished:
            return
        self._final_sync.begin(self.job.stop_timeout)
        if not self._daemon.pid and self._next == self._idle:
            self._oversight.is_leaving = True  # for what has appeared just now
            self._start()
        elif not self._daemon.pid and self.state == "backing off":
            self._start()  # for the final sync
        if not self._daemon.pid:
            if not self.finished:
                self._finish()
            return
        self._final_sync.settle(self.job.stop_timeout)
        self._next = self._settle

    def expect_end(self) -> None:
        """Pin the WALs at once: somebody else may have told the daemon to end."""
        if self._running and not self._final_sync and not self._health.replaced():
            self._handovers.hold_for_end()
            self._pinned_until = time.monotonic() + SETTLE

    # The states, in the order in which they come.

    def _stand_by(self) -> float:
        if self._oversight.following is not None:
            self._take_over(locked=False)
        try:
            free = acquire_all(self._locks)
        except ConfigurationError as error:
            self._fail(str(error), misconfigured=True)
            return 0.0
        if not free:
            if self.state != "standby":
                self._tell("standby")
            return _STAND_BY
        stranger = foreign_daemons.hindrance(d.path for d in self.job.databases)
        if stranger:
            self._fail(stranger)
            return 0.0
        lack = too_few_files(len(self.job.databases))
        if lack:
            self._account.report({"fault": lack})
        self._mending.take_notes()
        self._begin_handover()
        return self._start()

    def _start(self) -> float:
        if any(lock.is_lost() for lock in self._locks):
            return self._take_locks_again()
        may_follow = self._oversight.is_leaving or not self._final_sync
        if may_follow and self._oversight.may_follow():
            self._take_over()
            self._begin_handover()
        if not self.job.databases:
            self._oversight.is_leaving = False
            if self._final_sync:
                self._finish()
                return 0.0
            self._tell("replicating")
            self._next = self._idle
            return _STAND_BY
        forbidden = self._health.forbidden()
        if forbidden:
            self._wait_for_permission(forbidden)
            return _STAND_BY
        if self._forbidden:
            self._forbidden = ""
            self._begin_handover()
        self._settle_copies()
        whole, hole = self._oversight.whole, self._mending.hole
        self._handovers.arm(whole=whole, killed=self._killed_off, hole=hole)
        self._oversight.whole = self._running = self._killed_off = False
        self._oversight.is_leaving = False
        try:
            write(self.job.directory, self.job.config)
            self._is_first_of_two = self._handovers.pages_changed()
            self._daemon.start(self._locks, *(_SNAPSHOT if self._is_first_of_two else ()))
        except OSError as error:
            lack = too_few_files(len(self.job.databases)) if error.errno == errno.EMFILE else ""
            self._fail(lack or f"{error.filename}: {error.strerror}")
            return 0.0
        self._tell("starting", pid=self._daemon.pid)
        if not self._final_sync:
            self._account.forgotten(self._health.registered)
        self._health.started()
        self._next = self._wait_for_snapshot if self._is_first_of_two else self._watch
        return 0.005

    def _take_locks_again(self) -> float:
        """Free the locks, of which one was replaced or removed; who takes all first has them."""
        self._handovers.close()
        for lock in self._locks:
            lock.release()
        self._oversight.is_leaving = False
        if self._final_sync:
            self._final_sync.error = self._account.error or "a lock was replaced or removed"
        self._next = self._stand_by
        return 0.0

    def _wait_for_permission(self, forbidden: str) -> None:
        if forbidden != self._forbidden:
            self._forbidden = forbidden
            self._account.fault(forbidden)
            self._tell("backing off")
        if self._final_sync:
            self._final_sync.error = forbidden
        self._backoff.wait(_STAND_BY)
        self._next = self._back_off

    def _watch(self) -> float:
        if self._ended():
            return 0.0
        if not self._running and self._daemon.is_up():
            self._running = self._ran_before = True
            self._account.note_socket()
            self._tell("replicating")
        if self._daemon.kill_if_late():
            return 0.05
        if self._handovers and time.monotonic() > self._pinned_until:
            self._oversight.poll_handovers()
        return self._oversight.look() if self._running else 0.005

    def _idle(self) -> float:
        """Wait for a database."""
        return self._start() if self._oversight.may_follow() else _STAND_BY

    def _wait_for_snapshot(self) -> float:
        """Wait for a daemon that makes a snapshot and ends; then start one that stays."""
        self._ended()
        return 0.05

    def _begin_handover(self) -> None:
        self._daemon.give_up_asking()
        if not self._health.forbidden():
            self._handovers.begin()

    def _back_off(self) -> float:
        left = self._backoff.left
        return left if left > 0 else self._start()

    def _settle(self) -> float:
        """Wait until the daemon has looked at its databases, for the final sync to cover them."""
        if self._ended():
            return 0.0
        if self._handovers:
            self._oversight.poll_handovers()
        looked = self._health.has_looked(self._daemon.has_synced)
        if (not looked or self._health.is_sending()) and time.monotonic() < self._final_sync.due:
            return 0.01
        if not looked and (self.job.series == "0.3" or self.job.socket):  # else nobody can tell
            self._final_sync.error = (
                self._account.error or "the daemon never looked at its databases"
            )
        if not self._mending.look() and self._final_sync.left > SETTLE:
            return LOOK_BUSY
        self._daemon.give_up_asking()
        if self._oversight.may_follow():
            self._oversight.leave()
            self._next = self._wait_for_end
            return 0.005
        self._handovers.hold_for_end()
        if not self._daemon.must_end:  # a second SIGTERM would end 0.5's final sync
            self._account.ending()
            self._daemon.signal(signal.SIGTERM)
        self._final_sync.signalled = True
        self._next = self._wait_for_end
        return 0.005

    def _wait_for_end(self) -> float:
        if self._ended():
            return 0.0
        if self._final_sync.left < 0 and not self._final_sync.killed:
            self._final_sync.killed = True
            self._daemon.signal(signal.SIGKILL)
        return 0.01

    # What they are made of.

    def _ended(self) -> bool:
        """Tell whether the daemon has ended, and do what follows from that."""
        life = self._daemon.age
        status = self._daemon.reap(self.reaped)
        if status is None:
            return False
        error = self._account.error
        # By a signal that leaves it no time for a final sync, or a panic (2).
        self._killed_off = os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 2
        self._oversight.ended(killed=self._killed_off)
        if self._oversight.is_leaving and not self._final_sync.killed:
            if not self._killed_off:
                self._handovers.note_end(self._health.looked)
            self._start_again()
        elif self._is_first_of_two and not status:
            self._start_again()
        elif self._final_sync and self._final_sync.must_repeat(self._settle_copies):
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
        elif self.job.max_restarts is not None and self.restarts >= self.job.max_restarts:
            self._fail(error or "the daemon ended too often")
        else:
            self._restart(life)
        return True

    def _start_again(self) -> None:
        self._begin_handover()
        self._start()
        if self._final_sync and self._daemon.pid:
            self._next = self._settle
        elif self._final_sync and not self.finished:
            self._finish()

    def _take_over(self, *, locked: bool = True) -> None:
        """Take the following job for this one."""
        following, self._oversight.following = self._oversight.following, None
        assert following is not None
        self._handovers.close()
        if locked:
            self._locks = following.take()
        else:
            following.close()
            self._locks = locks_of(following.job)
        self.job = self._health.job = following.job
        self._account.take_over(self.job, self._locks)
        self._handovers = Handovers(self.job, self._locks)
        mending = Mending(self.job, self._locks, self._account.fault)
        mending.go_on_from(self._mending)
        if locked:
            mending.take_notes()
        self._mending = mending
        self._oversight.take_over(self.job, self._handovers, mending)
        forget(self.job.directory)
        with suppress(OSError):  # the next start tries again, and tells
            write(self.job.directory, self.job.config)

    def _settle_copies(self) -> bool:
        """Find out, without a daemon, whether what was copied is what was committed."""
        clean = self._mending.settle()
        if self._mending.torn:
            self._handovers.let_go()
            self._mending.empty()
        return clean

    def _restart(self, life: float) -> None:
        self._backoff.restart(life)
        self._pinned_until = 0.0
        self._begin_handover()
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
        following = self._oversight.following
        if following is not None and self.state != "standby":
            self._final_sync.error = self._final_sync.error or following.lack
        if self._final_sync.signalled and not self._final_sync.killed:
            self._handovers.note_end(self._health.looked)
            self._account.note_files()
        synced = self._final_sync.reached
        more = {"synced": time.time()} if synced else {}
        self._account.notes.state("stopped", 0, self.restarts, **more)
        self._close()
        self._account.report({"synced": synced, "killed": self._final_sync.killed})
        self._tell("stopped")

    def _close(self) -> None:
        self._handovers.close()
        self._mending.close()
        self._daemon.give_up_asking()
        self._health.give_up_asking()
        if self._oversight.following is not None:
            self._oversight.following.close()
        for lock in self._locks:
            lock.release()
        self.finished = True

    def _tell(self, state: str, **more: object) -> None:
        self._account.change(state, self._daemon.pid, self._health, **more)
