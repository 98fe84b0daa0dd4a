"""Watch a daemon that runs: read its log, check its copies, end it when its config is lost."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from litestream._config.runtime_directory import write
from litestream._executable import messages
from litestream._supervision.backoff import SHORT_LIFE
from litestream._supervision.final_sync import SETTLE
from litestream._supervision.mending import UNHEARD
from litestream._supervision.watchdog import is_error, says

TYPE_CHECKING = False
if TYPE_CHECKING:
    from litestream._supervision.account import Account
    from litestream._supervision.daemon import Daemon
    from litestream._supervision.final_sync import FinalSync
    from litestream._supervision.following import Following
    from litestream._supervision.handover import Handovers
    from litestream._supervision.job import Job
    from litestream._supervision.mending import Mending
    from litestream._supervision.watchdog import Health

_LOOK, LOOK_BUSY = 0.25, 0.02
"""Seconds between two looks at what the daemon has copied; and while a hole is being mended."""
_TWICE = "a part of the WAL was written twice, and 0.3.13 restores nothing that follows it"


class Oversight:
    """The watch over one daemon.

    `whole`: the next daemon must copy the whole database. `following` is the job that the next
    daemon gets; `is_leaving`: this daemon ends for that one.
    """

    def __init__(
        self,
        job: Job,
        daemon: Daemon,
        handovers: Handovers,
        mending: Mending,
        health: Health,
        account: Account,
        final_sync: FinalSync,
    ) -> None:
        self.whole = self.is_leaving = False
        self.following: Following | None = None
        self._job = job
        self._daemon = daemon
        self._handovers = handovers
        self._mending = mending
        self._health = health
        self._account = account
        self._final_sync = final_sync

    def look(self) -> float:
        """Do what is due, and return after how many seconds to look again."""
        self._account.notes.flush(self._health.positions)
        changed = self._health.replaced()
        if changed:
            self._account.fault(changed)
            # No final sync: it would mix the old file's pages with the new one's.
            self._daemon.signal(signal.SIGKILL)
            self.whole = True
            return 0.05
        lost = self._account.lost_lock()
        if lost:
            self._account.fault(f"the lock {lost} was replaced or removed; it is taken again")
            self._daemon.signal(signal.SIGKILL)  # another process may have it, and a daemon
            return 0.05
        if self._health.lost_tables and not self._daemon.must_end:
            self._health.lost_tables = False
            self._account.fault("Litestream's tables were dropped; it starts again")
            self._end()
            return 0.05
        if self._is_lost():
            lost = f"{self._job.directory} was removed; the daemon starts again"
            self._account.report({"fault": lost})
            self._end()
            return 0.05
        if self._is_followed():
            self.leave()
            return 0.05
        clean = self._mending.look()
        if self._mending.torn and not self._daemon.must_end:
            self._end()
        state = "mending" if self._mending.holes else self._health.look()
        if state != self._account.state:
            self._account.change(state, self._daemon.pid, self._health, age=self._health.age)
        if self._handovers:
            return 0.005 if self._daemon.age < 2 else 0.05
        return _LOOK if clean else LOOK_BUSY

    def may_follow(self) -> bool:
        """Tell whether there is a following job, and nobody else has its databases."""
        return self.following is not None and self.following.is_ready(self._daemon.pid)

    def leave(self) -> None:
        """End this daemon, for the next one to replicate other databases."""
        self._handovers.hold_for_end()
        if not self._daemon.must_end:
            self._account.ending()
            self._daemon.signal(signal.SIGTERM)
        self._daemon.kill_after(self._job.stop_timeout)
        self.is_leaving = True

    def ended(self, *, killed: bool) -> None:
        """Take note of how the daemon has ended: a killed one may not have told what it wrote."""
        if self._account.is_ending:
            for database in self._job.databases if killed else ():
                self._mending.declare(database.path, UNHEARD)
            self._account.ending(heard=True)

    def take_over(self, job: Job, handovers: Handovers, mending: Mending) -> None:
        """Watch over the daemon of another job."""
        self._job, self._handovers, self._mending = job, handovers, mending

    def poll_handovers(self) -> None:
        """Go on with the hand-overs to a daemon that has just been started."""
        done = self._handovers.poll(self._daemon.has_synced)
        for handover in done:
            self._health.note_look(handover.database)
            if handover.broken:
                self._mending.declare(
                    handover.database, "the daemon missed changes while it started"
                )

    def hear(self, text: str) -> None:
        """Take a line of the daemon's log."""
        if is_error(text) or text.startswith(messages.ERROR):
            self._account.error = text
        if says(text, messages.SIGNAL):  # not always of ours; 0.3 may hang in its end
            self._daemon.kill_after(self._job.stop_timeout)
        if self._final_sync.signalled and self._health.is_unsynced(text):
            self._final_sync.error = text
        position = self._health.hear(text)
        while (
            self._health.overlapping
        ):  # declared before the position is reported: nothing has arrived there
            self._mending.declare(self._health.overlapping.pop(), _TWICE)
        if position is not None:
            self._account.notes.arrived(position[0])
            self._account.report({"position": position})
        self._account.report({"log": text})

    def _end(self) -> None:
        self._account.ending()
        self._daemon.end(self._job.stop_timeout)

    def _is_followed(self) -> bool:
        """Tell whether to end this daemon for one with other databases: all is settled."""
        if self.following is None or self._handovers or self._daemon.must_end:
            return False
        looked = self._health.has_looked(self._daemon.has_synced)
        if not looked and self._daemon.age < SETTLE:
            return False
        if self._health.is_sending():
            return False
        there = [d.path for d in self._job.databases if os.path.exists(d.path)]
        return not any(map(self._mending.hole, there)) and self.following.is_ready(self._daemon.pid)

    def _is_lost(self) -> bool:
        """Tell whether the daemon's socket is gone; a config that is gone is written again."""
        with suppress(OSError):
            write(self._job.directory, self._job.config)
        known = self._job.directory and self._job.socket and self._daemon.age > SHORT_LIFE
        return bool(known) and not self._daemon.must_end and not os.path.exists(self._job.socket)
