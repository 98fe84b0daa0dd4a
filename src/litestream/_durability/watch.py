"""Wait until the replica holds the WAL up to a place, by whatever the daemon and series offer.

The wait proves nothing: a daemon still remembers its position in a replica whose files are gone.
The wait says when a restore is worth while; the restored copy decides.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from litestream._database import local_state, wal
from litestream._database.audits import audit
from litestream._database.files import identity
from litestream._durability.goal import Goal
from litestream._durability.series_03 import Look03
from litestream._durability.series_05 import Look05
from litestream.errors import LitestreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from litestream._config.database import Database
    from litestream._database.audit import Audit
    from litestream._durability.goal import Arrival

_FIRST, _LAST = 0.01, 0.25  # seconds between two looks
_DOUBT = 1.0
"""Seconds in which a keeper finds and notes a hole that was found here."""

_audits: dict[tuple[str, str, str], Audit] = {}
_auditing = threading.Lock()


class NotArrivedError(LitestreamError):
    """The replica did not reach a place in time; ``local``: the daemon had copied that place.

    ``hole`` says what the replica lacks, if that was the reason.
    """

    def __init__(self, *, local: bool, hole: str = "") -> None:
        super().__init__(local, hole)
        self.local = local
        self.hole = hole


class Watch:
    """Watches the replicas of one database, from before the commit that must arrive.

    ``positions`` are logged by a daemon of ours, for each database and replica (0.3). ``pulse`` is
    called at every look, and may raise to end the wait. ``touch`` makes another commit (0.3). With
    ``sure`` an arrival needs no restore to confirm it.
    """

    def __init__(
        self,
        database: Database,
        deadline: float,
        *,
        positions: Mapping[str, Mapping[str, local_state.Position03]] | None = None,
        only_new: bool = False,
        sure: bool = False,
        pulse: Callable[[], object] = lambda: None,
        touch: Callable[[], object] = lambda: None,
    ) -> None:
        self._database = database
        self._goal = Goal(database, deadline, touch)
        self._pulse = pulse
        self.given_up = False
        self._sure = sure
        self._leftover = b""
        self._doubtful_until = 0.0
        self._look: Look03 | Look05 = (
            Look05(self._goal)
            if database.config.series == "0.5"
            else Look03(self._goal, positions=positions, only_new=only_new, sure=sure)
        )

    def arrival(self, end: wal.WALEnd | None) -> Arrival:
        """Return when the replicas hold the WAL up to ``end``, as far as can be known.

        If there is no WAL yet, wait for its first commit. If only the replica's listing is
        available (0.3, remote, no metrics), return at the first new segment (with ``only_new``,
        newer than when this Watch was made), or with ``sure`` keep committing until a segment
        starts at or after ``end``.

        Raises:
            NotArrivedError: The deadline has passed.

        """
        self._goal.end, self._look.local = end, False
        pause = _FIRST
        hole, settled = "", False
        start: int | str = 0
        while True:
            self._pulse()
            if not settled:
                hole = self._dead_writer() if self._sure else ""
                self._look.forget()
                settled = not hole
                start = self._start()
                if self._sure and settled:  # by then, a sync that read the old frames has ended
                    self._goal.end = wal.committed_end(self._goal.wal) or end
            arrival = self._look.look() if settled else None
            if arrival is not None:
                hole, last_start = self._hole()
                if not hole and start == last_start:
                    return arrival
                settled = False  # the copy that mends the hole may not be in the replica yet
            left = self._goal.deadline - time.monotonic()
            if left <= 0:
                raise NotArrivedError(local=self._look.local, hole=hole or self._known_hole())
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _LAST)

    def _known_hole(self) -> str:
        """Return the hole that keeps commits from arriving, if it is known without the replica."""
        noted = self._goal.noted()
        with _auditing:
            found = self._audit()
            return str(noted.get("hole") or found.hole or self._not_the_file(noted))

    def _hole(self) -> tuple[str, int | str]:
        """Return why the replica does not hold what was committed, if known; and `Audit.start`."""
        noted = self._goal.noted()
        with _auditing:
            found = self._audit()
            found.look()
            start = found.start
            hole = str(noted.get("hole") or found.hole or self._not_the_file(noted))
            if found.hole:  # only the keeper knows when it is mended: begin the audit anew
                self._audit(anew=True)
                self._doubtful_until = time.monotonic() + _DOUBT
            elif found.unsettled:
                hole = hole or "it holds changes that no commit has confirmed"
            elif self._sure and not self._look.asked and found.leftover():
                # A daemon that answered has copied the frames; another one may do so in a moment.
                hole = hole or "a writer is in its COMMIT, or has died there"
        if time.monotonic() < self._doubtful_until:
            hole = hole or "a possible hole is being checked"
        return hole, start

    def _not_the_file(self, noted: dict[str, Any]) -> str:
        """Return why a daemon of ours may not have this file's changes: it has another file."""
        file, now = noted.get("file"), identity(self._database.path)
        if file and now and tuple(file) != now and self._goal.is_kept():
            return "the file was replaced, and the new one is not replicated yet"
        return self._may_have_jumped(noted)

    def _may_have_jumped(self, noted: dict[str, Any]) -> str:
        """Return why a daemon of ours, which does not answer, may have skipped a part of the WAL.

        If another process stops 0.5.17, the daemon releases the WAL before its final sync. The next
        daemon is started with that in mind, and answers.
        """
        is_kept = os.path.isdir(str(noted.get("directory") or ""))  # gone after a stop of ours
        if self._database.config.series != "0.5" or self._look.asked or not is_kept:
            return ""
        newest = local_state.newest_local(self._database.meta)
        if newest is None or noted.get("ended") == newest.txid:
            return ""
        if local_state.one_wal(self._database.meta, local_state.FILES_OF_AN_END):
            return ""
        return "the daemon has ended, and may have missed changes"

    def _start(self) -> int | str:
        with _auditing:
            found = self._audit()
            found.look()
            return found.start

    def _dead_writer(self) -> str:
        """Return a sentence if a writer has died in its COMMIT and its frames will be copied.

        A living writer goes on. A daemon of this library overwrites the frames of a dead writer;
        beside any other daemon, this method overwrites them.
        """
        with _auditing:
            before, self._leftover = self._leftover, self._audit().leftover()
        if not self._leftover or before not in (b"", self._leftover):
            self._leftover = b""
            return ""
        if not before:
            self._goal.touched = time.monotonic()
        else:
            self._goal.touch_now_and_then()
        return "a writer has died in its COMMIT"

    def _audit(self, *, anew: bool = False) -> Audit:
        key = self._database.config.series, self._database.path, self._database.meta
        if anew or key not in _audits:
            _audits[key] = audit(*key)
        return _audits[key]

    def is_over(self) -> bool:
        """Tell whether the deadline has passed."""
        return time.monotonic() >= self._goal.deadline

    def give_up(self) -> None:
        """End the wait after one more look."""
        self.given_up = True
        self._goal.deadline = 0.0

    def renew(self, deadline: float) -> None:
        """Set the deadline for another attempt."""
        self._goal.deadline = max(deadline, self._goal.deadline)

    def postpone(self, seconds: float) -> None:
        """Move the deadline by the seconds that other work has taken."""
        self._goal.deadline += seconds
