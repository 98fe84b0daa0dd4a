"""What is held for one job: the locks of its databases, their WALs, what is known of their holes.

Another job, with other databases, may follow. It takes over the locks and the holes of the
databases that both jobs have.
"""

from __future__ import annotations

import time
from contextlib import suppress

from litestream._config.runtime_directory import forget, keep, write
from litestream._database import foreign_daemons
from litestream._database.lock import acquire_all
from litestream._database.open_files import too_few_files
from litestream._supervision.following import Following, locks_of
from litestream._supervision.handover import Handovers
from litestream._supervision.mending import Mending

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestream._database.lock import Lock
    from litestream._supervision.account import Account
    from litestream._supervision.job import Job

_KEEP_EVERY = 3600.0


class Held:
    """What is held for a job; `following` is the job that the next daemon gets, if there is one."""

    def __init__(self, job: Job, locks: Sequence[Lock], account: Account) -> None:
        self.job = job
        self.locks = locks
        self.handovers = Handovers(job, locks)
        self.mending = Mending(job, locks, account.fault)
        self.following: Following | None = None
        self._account = account
        self._keep_at = 0.0

    def acquire(self) -> bool:
        """Take all locks, or none.

        Raises:
            ConfigurationError: One of the lock files cannot be made.

        """
        return acquire_all(self.locks)

    def hindrance(self) -> str:
        """Return why no daemon of ours may start on the databases; empty if one may."""
        return foreign_daemons.hindrance(database.path for database in self.job.databases)

    def too_few_files(self) -> str:
        """Say that the limit of open files is too low for the databases, if it is."""
        return too_few_files(len(self.job.databases))

    def is_lost(self) -> bool:
        """Tell whether a lock was replaced or removed."""
        return any(lock.is_lost() for lock in self.locks)

    def settle_copies(self) -> bool:
        """Find out, without a daemon, whether what was copied is what was committed."""
        clean = self.mending.settle()
        if self.mending.torn:
            self.handovers.let_go()
            self.mending.empty()
        return clean

    def follow_with(self, job: Job) -> None:
        """Let another job follow, in place of one that was to follow."""
        if self.following is not None:
            self.following.close()
        self.following = Following(job, self.locks, self._account.report)

    def may_follow(self, daemon: int) -> bool:
        """Tell whether a job follows, and nobody else has its databases.

        ``daemon`` is the process id of the daemon that runs, or 0.
        """
        return self.following is not None and self.following.is_ready(daemon)

    def take_over(self, *, locked: bool) -> None:
        """Take the following job for this one; `locked` says that the locks are held."""
        following, self.following = self.following, None
        assert following is not None
        self.handovers.close()
        if locked:
            self.locks = following.take()
        else:
            following.close()
            self.locks = locks_of(following.job)
        self.job = following.job
        self._account.take_over(self.job, self.locks)
        self.handovers = Handovers(self.job, self.locks)
        before, self.mending = self.mending, Mending(self.job, self.locks, self._account.fault)
        self.mending.go_on_from(before)
        if locked:
            self.mending.take_notes()
        forget(self.job.directory)
        with suppress(OSError):  # the next start tries again, and tells
            self.write_config()

    def release(self) -> None:
        """Free the WALs and the locks."""
        self.handovers.close()
        for lock in self.locks:
            lock.release()

    def close(self) -> None:
        """Free everything, for good."""
        self.release()
        self.mending.close()
        if self.following is not None:
            self.following.close()

    def keep(self) -> None:
        """Touch the run-time directory from time to time: a system removes what is old."""
        if time.monotonic() > self._keep_at:
            self._keep_at = time.monotonic() + _KEEP_EVERY
            keep(self.job.directory)

    def write_config(self) -> None:
        """Write the daemon's config into the run-time directory, where it is missing.

        Raises:
            OSError: It cannot be written.

        """
        write(self.job.directory, self.job.config)
