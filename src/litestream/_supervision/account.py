"""The state of a daemon, reported to the application in events, to other processes in notes."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from litestream._config.runtime_directory import remove
from litestream._database.connect import schema_version
from litestream._supervision.notes import Notes, note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from litestream._database.lock import Lock
    from litestream._supervision.backoff import Backoff
    from litestream._supervision.job import Job
    from litestream._supervision.watchdog import Health


_EVERY = 0.5
"""Seconds between two looks at the locks."""


class Account:
    """The state of one daemon and its last error, and where both are reported."""

    def __init__(
        self,
        job: Job,
        locks: Sequence[Lock],
        report: Callable[[Mapping[str, Any]], None],
        backoff: Backoff,
    ) -> None:
        self.state = "stopped"
        self.error = ""
        self.is_ending = False
        self.report = report
        self.notes = Notes(locks)
        self._look_at = 0.0
        self._job = job
        self._locks = locks
        self._backoff = backoff

    def take_over(self, job: Job, locks: Sequence[Lock]) -> None:
        """Go on with another job."""
        self.notes = Notes(locks)
        self._job, self._locks = job, locks

    def lost_lock(self) -> str:
        """Return the path of a lock that was lost, from time to time; empty if none was."""
        if time.monotonic() < self._look_at:
            return ""
        self._look_at = time.monotonic() + _EVERY
        return next((lock.path for lock in self._locks if lock.is_lost()), "")

    def fault(self, text: str) -> None:
        """Report what is wrong, and keep it as the last error."""
        self.error = text
        self.report({"fault": text})

    def ending(self, *, heard: bool = False) -> None:
        """Note that the daemon is told to end; and once it has, that we have `heard` how (0.3).

        Only the daemon's log shows whether two have written the same part of the WAL meanwhile. If
        a keeper finds the first note without the second, the keeper before was killed.
        """
        if self._job.series == "0.3":
            self.is_ending = not heard
            for lock in self._locks:
                note(lock, ending=self.is_ending)

    def forgotten(self, databases: Iterable[str]) -> None:
        """Report the databases that the last daemon had by `/register`, and the next does not have.

        Nothing has held their WALs meanwhile, so they are not registered again silently.
        """
        for path in sorted(databases):
            self.fault(
                f"{path} is not replicated any more: it was registered with a daemon that has "
                "ended, and the next one knows what the config names. Put it into the config; "
                "until then, register it again"
            )

    def change(self, state: str, pid: int, health: Health, /, **more: object) -> None:
        """Report and note another state."""
        self.state = state
        restarts = self._backoff.restarts
        self.notes.state(state, pid, restarts, health.age)
        self.report({"state": state, "restarts": restarts, "error": self.error, **more})

    def note_socket(self) -> None:
        """Note where the control socket is, and remove the directory of a killed predecessor."""
        for lock in self._locks:
            before = str(lock.noted().get("directory", ""))
            if before != self._job.directory:
                remove(before)
            note(lock, socket=self._job.socket, directory=self._job.directory)
        self.note_files()

    def note_started(self, files: Mapping[str, tuple[int, int] | None]) -> None:
        """Note with which files the daemon was started: a sync of another file must wait."""
        known = {os.path.realpath(path): file for path, file in files.items()}
        for lock in self._locks:
            note(lock, file=known.get(lock.database))

    def note_files(self) -> None:
        """Note which files were replicated: a new file must not replace their backups (`guard`)."""
        for lock in self._locks:
            with suppress(OSError):
                found = os.stat(lock.database)
                file = [found.st_dev, found.st_ino]
                note(lock, replicated=file, schema=schema_version(lock.database))
