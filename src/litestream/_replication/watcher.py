"""Look at the directories of a config again, while a daemon replicates what was in them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from litestream._config.database import database_of
from litestream._database.files import identity
from litestream._database.lock import Lock
from litestream._executable import side_by_side
from litestream._replication import daemon_config
from litestream._replication.guard import guard, is_own
from litestream.errors import BackupExistsError, ConfigurationError, LitestreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestream._config.config import Config
    from litestream._replication.daemon_config import Prepared

EVERY = 1.0
"""Seconds between two looks."""
_JOBS = 4


class _Refused(NamedTuple):
    """Why a file is not replicated."""

    file: tuple[int, int] | None
    reason: str
    is_for_now: bool


class Watcher:
    """The directories of a config, and what a daemon on them was last prepared for.

    A database that appears over the backup of another database is left out until it is gone.
    `report` is called once for each such database, and for each error of a look.
    """

    def __init__(
        self,
        config: Config,
        prepared: Prepared,
        interval: float,
        report: Callable[[str], None],
        *,
        adopt: bool,
    ) -> None:
        self._config = config
        self._prepared = prepared
        self._interval = interval
        self._report = report
        self._adopt = adopt
        self._refused: dict[str, _Refused] = {}
        self._known = {one.path for one in prepared.databases}
        self._failure = ""

    @property
    def lack(self) -> str:
        """Return why something in the directories is not replicated; empty if everything is."""
        return self._failure or next((one.reason for one in self._refused.values()), "")

    def look(self, *, stands_by: bool = False) -> Prepared | None:
        """Return how to start a daemon on what is there now; None if nothing has changed.

        A process that ``stands_by`` has no lock: another process has them all.
        """
        try:
            found = self._changed(stands_by=stands_by)
        except (LitestreamError, OSError) as error:
            if str(error) != self._failure:
                self._failure = str(error)
                self._report(f"the daemon goes on with what it has: {error}")
            return None
        self._failure = ""
        return found

    def _changed(self, *, stands_by: bool) -> Prepared | None:
        known = {one.path for one in self._prepared.databases}
        held = {path for path in known if self._is_watched(path)}
        listed = {
            path
            for directory in self._config.directories
            for path in (directory.listed() if directory.watch else ())
        }
        for path, refused in [*self._refused.items()]:
            is_other = path not in listed or identity(path) != refused.file
            if is_other or self._is_mended(path, refused):
                del self._refused[path]
        doubtful = listed - held - self._refused.keys()
        doubtful |= {path for path in listed & held if os.path.islink(path)}

        def admitted(path: str) -> bool:
            return self._is_admitted(path, stands_by=stands_by)

        asked = sorted(doubtful)
        answers = side_by_side.results(admitted, asked, _JOBS)
        new = {path for path, is_admitted in zip(asked, answers, strict=True) if is_admitted}
        wanted = (listed & held) - doubtful | new
        if wanted == held:
            return None
        # Only the databases of this look: what has appeared meanwhile waits for the next look. The
        # databases of a directory that is not watched stay as they were at the start.
        self._prepared = daemon_config.prepare(
            self._config,
            self._interval,
            only={*(known - held), *wanted},
            directory=self._prepared.directory,
        )
        self._known |= new
        return self._prepared

    def _is_admitted(self, path: str, *, stands_by: bool) -> bool:
        """Refuse a database that cannot be replicated, or has the backup of another database.

        A database that was replicated since the start, and was made anew, is not asked again.
        """
        try:
            for directory in self._config.directories:
                if directory.holds(path):
                    directory.require_utf8(path)
            database = database_of(self._config, path)
            if path in self._known:
                return True
            if not stands_by and Lock(path).is_held():  # the others need not wait for this one
                reason = f"{path} is in use by another process"
                self._refused[path] = _Refused(identity(path), reason, is_for_now=True)
                self._report(f"the daemon goes on with what it has: {reason}")
                return False
            if not self._adopt:
                guard([database])
        except (BackupExistsError, ConfigurationError) as error:
            self._refused[path] = _Refused(identity(path), str(error), is_for_now=False)
            self._report(f"{path} appeared, and is not replicated: {error}")
            return False
        return True

    def _is_mended(self, path: str, refused: _Refused) -> bool:
        """Tell whether a database that was refused may be looked at again."""
        if refused.is_for_now:
            return not Lock(path).is_held()
        with suppress(ConfigurationError):  # its name, or a link
            return is_own(database_of(self._config, path))
        return False

    def _is_watched(self, path: str) -> bool:
        return any(one.watch and one.holds(path) for one in self._config.directories)
