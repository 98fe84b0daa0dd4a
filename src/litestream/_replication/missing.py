"""A database that is missing: restore it from the replica that has the newest backup."""

from __future__ import annotations

import functools
import os
import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from litestream._database.files import is_database
from litestream._database.lock import Lock
from litestream._executable import side_by_side
from litestream._executable.find import find as find_executable
from litestream._replication import replicas
from litestream._replication.guard import is_own
from litestream._restore.fetch import not_found
from litestream._restore.restore import restore
from litestream.errors import (
    BackupExistsError,
    BackupNotFoundError,
    CommandFailedError,
    CommandTimeoutError,
    CorruptBackupError,
    OutputNotWritableError,
    ReplicationTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestream._config.config import Config
    from litestream._config.database import Database
    from litestream.errors import LitestreamError

Expectation = Literal["any", "backup", "none"]

_TRIES = 3
_PAUSE = 1.0


class Recovered(NamedTuple):
    """What ``recover`` found and did for one database.

    For a restored database ``as_of`` is the time of the newest change in the replica
    (``2024-04-17T00:01:19Z``; None if Litestream does not list it). 0.5 does not list the files
    that 0.3 has written to a server: there ``as_of`` is the time of the newest file of 0.5.

    With several replicas (0.3), ``replica`` names the one that the database comes from, and
    ``skipped`` says why the others were not used.
    """

    database: str
    action: Literal["present", "restored", "no backup"]
    seconds: float
    as_of: str | None = None
    replica: str | None = None
    skipped: dict[str, str] | None = None


class Recovery:
    """The recovery of one database, if it is missing.

    The parameters are those of `litestream.recover`.
    """

    def __init__(
        self,
        database: Database,
        expect: Expectation,
        replica: str | None,
        timeout: float,
        answer_timeout: float,
        progress: Callable[[str, int, int | None], object] | None,
    ) -> None:
        self._database = database
        self._path = database.path
        self._expect = expect
        self._replica = replica
        self._timeout = timeout
        self._answer_timeout = answer_timeout
        self._progress = progress
        self._started = time.monotonic()
        self._deadline = self._started + timeout
        self._lock = Lock(database.path)

    def run(self) -> Recovered:
        """Recover the database under its lock, and return what was done."""
        if is_database(self._path) and self._expect != "none":
            return Recovered(self._path, "present", 0.0)
        if self._progress is not None:
            self._progress(self._path, 0, None)
        if not self._make_folder():
            return Recovered(self._path, "no backup", time.monotonic() - self._started)
        while not is_database(self._path) and not self._lock.acquire():
            if time.monotonic() > self._deadline:
                raise ReplicationTimeoutError(
                    f"{self._path!r} is missing, and another process has held its lock for "
                    f"{self._timeout:g} s. Stop the daemon that runs on it first"
                )
            side_by_side.require_wanted()
            time.sleep(0.05)
        try:
            done = self._restore()
        finally:
            self._lock.release()
        return done._replace(seconds=time.monotonic() - self._started)

    def _make_folder(self) -> bool:
        """Make the folder of the database, if there is a backup for it; return whether it exists.

        Raises:
            BackupNotFoundError, BackupExistsError: The replica is not as expected.
            OutputNotWritableError: The folder cannot be made.

        """
        folder = os.path.dirname(self._path)
        if os.path.isdir(folder):
            return True
        if not self._has_backup(self._started + min(self._timeout, self._answer_timeout)):
            if self._expect == "backup":
                argv = [find_executable(), "restore", self._path]
                raise not_found(argv, 0, "", "no backup was found")
            return False
        if self._expect == "none":
            raise self._unexpected()
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise OutputNotWritableError(
                f"The database cannot be restored to {self._path!r}: its directory cannot be made: "
                f"{error.strerror}"
            ) from error
        return True

    def _has_backup(self, deadline: float) -> bool:
        return replicas.has_backup(self._database, self._replica, deadline)

    def _unexpected(self) -> BackupExistsError:
        return BackupExistsError(
            f"The replica of {self._path!r} holds a backup, and none was expected", self._path
        )

    def _restore(self) -> Recovered:
        """Restore the database from the replicas in turn, the one with the newest backup first."""
        database, replica = self._database, self._replica
        answered_by = min(self._deadline, time.monotonic() + self._answer_timeout)
        if self._expect == "none" and not is_own(database) and self._has_backup(answered_by):
            raise self._unexpected()
        if is_database(self._path):
            return Recovered(self._path, "present", 0.0)
        if self._expect == "none":
            return Recovered(self._path, "no backup", 0.0)
        answers = replicas.ask(database, replica, self._deadline, self._answer_timeout)
        for failure in () if answers.held else answers.failures.values():
            if isinstance(failure, CommandTimeoutError):  # a restore would take as long, and longer
                raise failure
        if database.config.series == "0.3":
            replicas.require_newest(database, answers, replica)
        skipped: dict[str, object] = dict.fromkeys(answers.empty, "it is empty")
        skipped.update(answers.failures)
        failures: list[LitestreamError] = []
        for held in answers.held or [replicas.Held(replica, "")]:
            try:
                self._restore_from(held.replica)
            except (CommandFailedError, CorruptBackupError) as error:
                if held.replica == replica:  # there is no other replica
                    if isinstance(error, BackupNotFoundError) and self._expect != "backup":
                        return Recovered(self._path, "no backup", 0.0)
                    raise
                skipped[held.replica or ""] = error
                failures.append(error)
                continue
            stat = os.stat(self._path)
            self._lock.note(restored=[stat.st_dev, stat.st_ino])
            others = {n: str(reason) for n, reason in skipped.items() if n != held.replica}
            reasons = others if others and held.replica else None
            return Recovered(self._path, "restored", 0.0, held.as_of or None, held.replica, reasons)
        raise failures[0]

    def _restore_from(self, replica: str | None) -> None:
        """Restore the database from one replica, with another try or two if that fails."""
        progress = self._progress
        for attempt in range(1, _TRIES + 1):
            try:
                restore(
                    self._path,
                    output=self._path,
                    force=os.path.exists(self._path),
                    replica=replica,
                    config=self._database.config,
                    timeout=max(0.1, self._deadline - time.monotonic()),
                    progress=functools.partial(progress, self._path) if progress else None,
                )
                break
            except CommandFailedError as error:
                over = attempt == _TRIES or time.monotonic() + _PAUSE > self._deadline
                if over or isinstance(error, BackupNotFoundError):
                    raise
                side_by_side.require_wanted()
                time.sleep(_PAUSE)


def require_some(config: Config) -> None:
    """Refuse a ``dir:`` entry of which no database is left, on disk or in its replica.

    Raises:
        BackupNotFoundError: A ``dir:`` entry has no database, neither on disk nor in its replica.

    """
    for directory in config.directories:
        if not directory.databases(lost=True):
            reason = (
                f"no database of {directory.shown!r} is there, and none was found in its replica. "
                "What a server holds is not listed: name each database, as in "
                "'litestream recover PATH'"
            )
            raise not_found([find_executable(), "restore", directory.shown], 0, "", reason)


Recovered.__module__ = "litestream.recovery"  # where a pickle finds it
