"""The stop of a daemon, and whether its final sync has reached the replica."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

STOP_TIMEOUT = 35.0
"""Seconds that a daemon may take to end, by default: 0.5.17's own final sync takes 30 at most."""
_MENDS = 3
"""Daemons that a stop starts to mend a hole; the end of each may spoil the replica again (0.3)."""
SETTLE = 5.0
"""Seconds that a stop waits for a young daemon's first look at its databases. That comes one
monitor interval after its start; a daemon that is ended earlier replicates nothing."""


class FinalSync:
    """A stop that is under way: true once it has begun.

    At `deadline` the daemon is killed. At `due` it gets its SIGTERM, even if it has not opened
    its databases; `signalled` says that SIGTERM was sent. `error` says why the final sync failed.
    """

    def __init__(self, series: str) -> None:
        self.deadline = self.due = 0.0
        self.error = ""
        self.signalled = self.killed = False
        self._series = series
        self._retried = self._anew = False
        self._mended = 0

    def __bool__(self) -> bool:
        return bool(self.deadline)

    def begin(self, timeout: float) -> None:
        """Begin to stop a daemon, within so many seconds."""
        self.deadline = time.monotonic() + timeout

    def settle(self, timeout: float) -> None:
        """Begin to wait for the daemon's first look."""
        self.due = time.monotonic() + min(SETTLE, timeout / 2)

    @property
    def left(self) -> float:
        """Return the seconds until the deadline."""
        return self.deadline - time.monotonic()

    @property
    def reached(self) -> bool:
        """Tell whether everything is in the replica, once the daemon has ended."""
        return not self.killed and not self.error

    def must_repeat(self, settle: Callable[[], bool], *, replaced: bool) -> bool:
        """Tell whether another daemon must repeat the final sync, and whether there is time for it.

        0.3.13's monitor and its final sync may write the same segment at the same moment; then
        one of them fails, and the newest changes may not be in the replica. `settle` says whether
        what was copied is what was committed; `replaced`, that this daemon had another file.
        """
        if self.killed:
            return False
        in_time = self.left > 0
        if replaced:
            first, self._anew = not self._anew, True
            self.error = "a database was replaced, and the new file is not in the replica"
            return first and in_time
        if self._series == "0.3" and self.error and not self._retried:
            self._retried = True
            return in_time
        if not settle():
            self._mended += 1
            self.error = "changes that were committed are missing from the replica"
            return self._mended <= _MENDS and in_time
        return False

    def repeat(self) -> None:
        """Begin with another daemon."""
        self.signalled, self.error = False, ""
