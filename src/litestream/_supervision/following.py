"""The job that follows another job: databases have appeared in a directory, or vanished."""

from __future__ import annotations

import os

from litestream._database import foreign_daemons
from litestream._database.lock import Lock
from litestream.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from litestream._supervision.job import Job


def locks_of(job: Job) -> list[Lock]:
    """Return the locks that a job needs: one for each database, and for each directory."""
    paths = {os.path.realpath(d.path) for d in job.databases} | {*job.directories}
    return [Lock(path) for path in sorted(paths)]


class Following:
    """A job, and the locks that it needs beside those that are held already."""

    def __init__(
        self, job: Job, held: Sequence[Lock], report: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self.job = job
        self._held = {lock.database: lock for lock in held}
        self._wanted = locks_of(job)
        self._new = [lock for lock in self._wanted if lock.database not in self._held]
        self._report = report
        self._told = ""

    @property
    def lack(self) -> str:
        """Return why a database that is new in this job is not replicated yet; empty if all are."""
        if not self._new:
            return ""
        return self._told or f"{self._new[0].database} appeared too late"

    def is_ready(self, daemon: int) -> bool:
        """Tell whether no other process has one of the new databases. Their locks are held then.

        ``daemon`` is the process id of the daemon of the job before.
        """
        for lock in self._new:
            try:
                free = lock.file is not None or lock.acquire()
            except ConfigurationError as error:
                return self._wait(str(error))
            if not free:
                return self._wait(f"{lock.database} is in use by another process")
        stranger = foreign_daemons.hindrance((lock.database for lock in self._new), daemon)
        return self._wait(stranger) if stranger else True

    def take(self) -> list[Lock]:
        """Return the job's locks, and free those that it does not need."""
        found = [self._held.pop(lock.database, lock) for lock in self._wanted]
        for lock in self._held.values():
            lock.release()
        self._new = []
        return found

    def close(self) -> None:
        """Free the locks of the new databases."""
        for lock in self._new:
            lock.release()

    def _wait(self, because: str) -> bool:
        if because != self._told:
            self._told = because
            self._report({"fault": f"the daemon goes on with what it has: {because}"})
        return False
