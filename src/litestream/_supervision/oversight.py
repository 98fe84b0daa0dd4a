"""Watch a daemon that runs: read its log, check its copies, end it when its config is lost."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from litestream._executable import messages
from litestream._supervision.backoff import SHORT_LIFE
from litestream._supervision.final_sync import SETTLE
from litestream._supervision.watchdog import has_level, is_error, says

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from litestream._supervision.account import Account
    from litestream._supervision.daemon import Daemon
    from litestream._supervision.final_sync import FinalSync
    from litestream._supervision.held import Held
    from litestream._supervision.watchdog import Health

_LOOK, LOOK_BUSY = 0.25, 0.02
"""Seconds between two looks at what the daemon has copied; and while a hole is being mended."""
_TWICE = "a part of the WAL was written twice at once, and 0.3.13 may restore nothing behind it"


class Oversight:
    """The watch over one daemon.

    `whole`: the next daemon must copy the whole database. `is_leaving`: this daemon ends for the
    job that follows.
    """

    def __init__(
        self,
        held: Held,
        daemon: Daemon,
        health: Health,
        account: Account,
        final_sync: FinalSync,
    ) -> None:
        self.whole = self.is_leaving = False
        self._held = held
        self._daemon = daemon
        self._health = health
        self._account = account
        self._final_sync = final_sync
        self._pinned_until = self._everywhere_at = 0.0
        self._forbidden = ""

    def begin_handover(self) -> None:
        """Pin the WALs, since no daemon runs, unless a database must not be opened."""
        self._daemon.give_up_asking()
        if not self._health.files.forbidden():
            self._held.handovers.begin()

    def is_forbidden(self) -> bool:
        """Tell whether a database must not be opened yet, and report the reason once."""
        before, self._forbidden = self._forbidden, self._health.files.forbidden()
        if not self._forbidden:
            if before:
                self.begin_handover()
            return False
        if self._forbidden != before:
            self._account.fault(self._forbidden)
            self._account.change("backing off", self._daemon.pid, self._health)
        if self._final_sync:
            self._final_sync.error = self._forbidden
        return True

    def look(self) -> float:
        """Do what is due, and return after how many seconds to look again."""
        self._account.notes.flush(self._health.positions)
        # Before a daemon is told to end: with a final sync, a database must not have been replaced.
        everywhere = self._must_look_everywhere()
        only = None if everywhere else self._held.mending.doubtful
        if self.is_replaced(only):
            self._daemon.signal(signal.SIGKILL)
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
            if not everywhere:
                return self._look_everywhere_first()
            lost = f"{self._held.job.directory} was removed; the daemon starts again"
            self._account.report({"fault": lost})
            self._end()
            return 0.05
        if self._is_followed():
            self.leave()
            return 0.05
        clean = self._held.mending.look(only)
        if everywhere:
            self._everywhere_at = time.monotonic() + _LOOK
        if self._held.mending.torn and not self._daemon.must_end:
            if not everywhere:
                return self._look_everywhere_first()
            self._end()
        state = "mending" if self._held.mending.holes else self._health.look()
        if state != self._account.state:
            self._account.change(state, self._daemon.pid, self._health, age=self._health.age)
        if self._held.handovers:
            return 0.005 if self._daemon.age < 2 else 0.05
        return max(0.0, self._everywhere_at - time.monotonic()) if clean else LOOK_BUSY

    def is_replaced(self, only: Collection[str] | None = None) -> bool:
        """Tell whether a file was replaced under the daemon, which the next daemon copies whole.

        No final sync: it would mix the old file's pages with the new one's.
        """
        changed = self._health.files.replaced(only)
        if changed:
            self._account.fault(changed)
            self.whole = True
        return bool(changed)

    def begin_anew(self) -> None:
        """Let the next daemon of 0.3 begin a new generation for each file that was replaced.

        Source: until it is killed, 0.3.13 may begin one with a snapshot of the old file, which it
        still has open, and go on with the new file's WAL.
        """
        if self._held.job.series == "0.3":
            for path in self._health.files.changed:
                self._held.mending.forget(path)

    def _must_look_everywhere(self) -> bool:
        """Tell whether to look at every database, and not only at those that are in doubt."""
        return (
            bool(self._held.handovers)
            or self._health.lost_tables
            or self._held.following is not None
            or time.monotonic() >= self._everywhere_at
        )

    def _look_everywhere_first(self) -> float:
        """Put off the daemon's end: another database may have been replaced."""
        self._everywhere_at = 0.0
        return 0.0

    def settle(self) -> float:
        """End the daemon once it has opened all its databases: its final sync covers them then.

        Return after how many seconds to call again; 0 once the daemon is told to end.
        """
        if self.is_replaced():
            self._daemon.signal(signal.SIGKILL)
            return 0.0
        self._poll_handovers()
        looked = self._health.has_looked(self._daemon.has_synced)
        if (not looked or self._health.is_sending()) and time.monotonic() < self._final_sync.due:
            return 0.01
        job = self._held.job
        if not looked and (job.series == "0.3" or job.socket):  # else nobody can tell
            self._final_sync.error = (
                self._account.error or "the daemon never looked at its databases"
            )
        if not self._held.mending.look() and self._final_sync.left > SETTLE:
            return LOOK_BUSY
        self._daemon.give_up_asking()
        if self._held.may_follow(self._daemon.pid):
            self.leave()
            return 0.0
        self._held.handovers.hold_for_end()
        if not self._daemon.must_end:  # a second SIGTERM would end 0.5's final sync
            self._account.ending()
            self._daemon.signal(signal.SIGTERM)
        self._final_sync.signalled = True
        return 0.0

    def expect_end(self) -> None:
        """Pin the WALs for a while: somebody else may have told the daemon to end."""
        self._held.handovers.hold_for_end()
        self._pinned_until = time.monotonic() + SETTLE

    def leave(self) -> None:
        """End this daemon, for the next one to replicate other databases."""
        self._held.handovers.hold_for_end()
        if not self._daemon.must_end:
            self._account.ending()
            self._daemon.signal(signal.SIGTERM)
        self._daemon.kill_after(self._held.job.stop_timeout)
        self.is_leaving = True

    def ended(self) -> None:
        """Take note of a daemon's end, and that its log was read to the end."""
        self._pinned_until = 0.0
        if self._account.is_ending:
            self._account.ending(heard=True)

    def poll_handovers(self) -> None:
        """Go on with the hand-overs to a daemon that has just been started."""
        if time.monotonic() > self._pinned_until:
            self._poll_handovers()

    def _poll_handovers(self) -> None:
        done = self._held.handovers.poll(self._daemon.has_synced)
        for handover in done:
            self._health.note_look(handover.database)
            if handover.broken:
                self._held.mending.declare(
                    handover.database, "the daemon missed changes while it started"
                )

    def hear(self, text: str) -> None:
        """Take a line of the daemon's log."""
        if is_error(text) or text.startswith(messages.ERROR):
            self._account.error = text
        if says(text, messages.SIGNAL):  # not always of ours; 0.3 may hang in its end
            self._account.ending()
            self._daemon.kill_after(self._held.job.stop_timeout)
        if self._final_sync.signalled and self._health.is_unsynced(text):
            self._final_sync.error = text
        position = self._health.hear(text)
        while (
            self._health.overlapping
        ):  # declared before the position is reported: nothing has arrived there
            self._held.mending.declare(self._health.overlapping.pop(), _TWICE)
        if position is not None:
            self._account.notes.arrived(position[0])
            self._account.report({"position": position})
        if not any(has_level(text, level) for level in self._held.job.unasked):
            self._account.report({"log": text})

    def _end(self) -> None:
        self._account.ending()
        self._daemon.end(self._held.job.stop_timeout)

    def _is_followed(self) -> bool:
        """Tell whether this daemon may end for the following job: all is settled."""
        if self._held.following is None or self._held.handovers or self._daemon.must_end:
            return False
        looked = self._health.has_looked(self._daemon.has_synced)
        if not looked and self._daemon.age < SETTLE:
            return False
        if self._health.is_sending():
            return False
        there = [d.path for d in self._held.job.databases if os.path.exists(d.path)]
        return not any(map(self._held.mending.hole, there)) and self._held.following.is_ready(
            self._daemon.pid
        )

    def _is_lost(self) -> bool:
        """Tell whether the daemon's socket is gone; a config that is gone is written again."""
        with suppress(OSError):
            self._held.write_config()
        job = self._held.job
        known = job.directory and job.socket and self._daemon.age > SHORT_LIFE
        return bool(known) and not self._daemon.must_end and not os.path.exists(job.socket)
