"""The thread that looks at the directories of a config while a keeper replicates what is there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from litestream._executable.log_lines import escaped
from litestream._replication.watcher import EVERY
from litestream._settings import masked
from litestream.errors import ReplicationTimeoutError

if TYPE_CHECKING:
    from litestream._replication.keeper import Keeper
    from litestream._replication.status import Told
    from litestream._replication.watcher import Watcher


ANSWER = 5.0
"""Seconds within which a keeper takes other databases, unless it was stopped."""


class WatchThread:
    """Give a keeper the databases that appear, and take those that vanish, until it stops."""

    def __init__(self, watcher: Watcher, keeper: Keeper, told: Told) -> None:
        self._watcher = watcher
        self._keeper = keeper
        self._told = told
        self._looking = threading.Lock()
        threading.Thread(target=self._run, name="litestream-directories", daemon=True).start()

    @property
    def lack(self) -> str:
        """Return why something in the directories is not replicated; empty where all is."""
        return escaped(masked(self._watcher.lack))

    def look(self, timeout: float = ANSWER) -> None:
        """Look now, and give the keeper what has changed.

        Raises:
            ReplicationTimeoutError: The keeper has not taken that after ``timeout`` seconds.

        """
        with self._looking:
            if self._keeper.stopping:
                return
            prepared = self._watcher.look(stands_by=self._told.state == "standby")
            if prepared is not None and not self._keeper.stopping:
                self._keeper.replace(prepared)
        self._keeper.send(timeout)

    def _run(self) -> None:
        failure = ""
        while not self._is_over():
            before, failure = failure, ""
            try:
                self.look()
            except ReplicationTimeoutError as error:
                failure = str(error)
                if failure != before:
                    self._told.fault(failure)

    def _is_over(self) -> bool:
        """Wait for the next look, and tell whether there is none."""
        with self._told.changed:
            return self._told.changed.wait_for(lambda: self._keeper.stopping, EVERY)
