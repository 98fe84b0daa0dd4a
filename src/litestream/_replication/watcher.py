"""Look at the directories of a config again, while a daemon replicates what was in them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from litestream._replication import daemon_config
from litestream._replication.guard import guard
from litestream.errors import BackupExistsError, ConfigurationError, LitestreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestream._config.config import Config
    from litestream._replication.daemon_config import Prepared

EVERY = 1.0
"""Seconds between two looks."""


class Watcher:
    """The directories of a config, and what a daemon on them was last prepared for.

    A database that appears over the backup of another one is left out until it goes; `report` is
    told of that, and of what stands in the way of a look, once.
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
        self._refused: dict[str, tuple[int, int] | None] = {}
        self._known = {one.path for one in prepared.databases}
        self._told = ""

    def look(self) -> Prepared | None:
        """Return how to start a daemon on what is there now, where that is something else."""
        try:
            found = self._changed()
        except (LitestreamError, OSError) as error:
            if str(error) != self._told:
                self._told = str(error)
                self._report(f"the daemon goes on with what it has: {error}")
            return None
        self._told = ""
        return found

    def _changed(self) -> Prepared | None:
        known = {one.path for one in self._prepared.databases}
        listed = {
            path
            for directory in self._config.directories
            for path in (directory.on_disk() if directory.watch else ())
        }
        held = {path for path in known if self._is_watched(path)}
        for path in [*self._refused]:
            if _file(path) != self._refused[path]:
                del self._refused[path]
        new = listed - held - self._refused.keys()
        for path in new:
            self._admit(path)
        if not new - self._refused.keys() and held <= listed:
            return None
        # Those of a directory that is not watched stay as they were at the start.
        also = {
            path
            for directory in self._config.directories
            if not directory.watch
            for path in directory.on_disk()
            if path not in known
        }
        self._known |= new - self._refused.keys()
        self._prepared = daemon_config.prepare(
            self._config,
            self._interval,
            without={*self._refused, *also},
            directory=self._prepared.directory,
        )
        return self._prepared

    def _admit(self, path: str) -> None:
        """Refuse a database that cannot be replicated, or has another one's backup.

        One that was replicated before, by this daemon's predecessors, was made anew under our eyes.
        """
        try:
            database = self._config.database(path)
            if not self._adopt and path not in self._known:
                guard([database])
        except (BackupExistsError, ConfigurationError) as error:
            self._refused[path] = _file(path)
            self._report(f"{path} appeared, and is not replicated: {error}")

    def _is_watched(self, path: str) -> bool:
        return any(one.watch and one.holds(path) for one in self._config.directories)


def _file(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
