"""A database of the config, with its replicas and its local state."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream._config import places
from litestream._config.entries import named, replicas_of, seconds_of
from litestream._config.paths import of_config, refuse_url, target
from litestream._database.files import meta_path
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestream._config.config import Config
    from litestream._config.paths import StrPath


class Database(NamedTuple):
    """A database of the config.

    ``meta`` is the directory of Litestream's local state, ``replicas`` are as in the config.
    ``interval`` is the number of seconds between two syncs, ``monitor_interval`` between two looks
    at the database. ``replica`` names the chosen replica (0.3); None if there is only one.
    """

    config: Config
    path: str
    meta: str
    interval: float
    monitor_interval: float
    replicas: list[dict[str, Any]]
    replica: str | None = None
    is_restored: bool = False
    """Whether a daemon of 0.5 restores the database if it is missing."""

    @property
    def folders(self) -> list[str] | None:
        """Return the replicas' directories; None if a replica is no readable directory."""
        found = [not r.get("age") and places.directory(r) for r in self.replicas]
        return [folder for folder in found if folder] if all(found) else None

    @property
    def names(self) -> list[str]:
        """Return the replicas' names."""
        return [places.name(replica) for replica in self.replicas]

    @property
    def has_local_state(self) -> bool:
        """Tell whether either series of Litestream already has local state of the database."""
        return any(os.path.exists(os.path.join(self.meta, name)) for name in ("generation", "ltx"))

    def is_at(self, path: StrPath) -> bool:
        """Tell whether a path, which may be a symbolic link, leads to this database."""
        name = target(path)
        return self.path in (name, os.path.realpath(name))

    def chosen(self, replica: str | None) -> list[dict[str, Any]]:
        """Return all replicas, or those with a name.

        Raises:
            ConfigurationError: No replica has that name.

        """
        found = [r for r in self.replicas if replica in (None, places.name(r))]
        if not found:
            known = ", ".join(map(repr, self.names))
            raise ConfigurationError(
                f"{self.path!r} has no replica named {replica!r}. Its replicas: {known}"
            )
        return found

    def each_replica(self) -> list[Database]:
        """Return the database once for each of its replicas, with that replica alone."""
        if len(self.replicas) == 1:
            return [self]
        return [self._replace(replicas=[r], replica=places.name(r)) for r in self.replicas]


def databases_of(config: Config, only: StrPath | None = None) -> list[Database]:
    """Return the databases of a config, or ``only`` one, whose path may be a symbolic link.

    Raises:
        ConfigurationError: There is no such database, or no database at all; a database has no
            replica for this series; or two share a replica: each would overwrite the other's
            backups.

    """
    if only is not None and config.include(target(only)):
        return [database_of(config, only)]
    entries = named(config.content, config.series)
    found = [_of_entry(config, path, raw) for path, raw in entries]
    if not found and not config.directories:
        raise ConfigurationError("The config names no database: add one to its 'dbs:' list")
    places.require_apart(
        [(one.path, one.meta, one.replicas) for one in found], config.content, config.series
    )
    if only is None:
        return found
    found = [one for one in found if one.is_at(only)]
    if not found:
        raise _unknown(config, target(only))
    return found


def database_of(config: Config, database: StrPath, replica: str | None = None) -> Database:
    """Return a database of a config, with all its replicas or the named one (0.3).

    A symbolic link stands for the database to which it leads. A path with a ``$`` may stand in the
    file as it is.

    Raises:
        ConfigurationError: The argument is a replica URL, the config does not name the database, or
            the database has no such replica.

    """
    refuse_url(database)
    path = target(database)
    for name in (path, os.path.realpath(path)):
        raw = config.entry(name)
        if raw is not None:
            found = _of_entry(config, name, raw)
            if replica is None:
                return found
            return found._replace(replicas=found.chosen(replica), replica=replica)
    if not config.literal and "$" in path:
        return database_of(config.unexpanded(), database, replica)
    raise _unknown(config, path)


def _of_entry(config: Config, path: str, raw: Mapping[str, Any]) -> Database:
    replicas = replicas_of(path, raw, config.series)
    meta = raw.get("meta-path")
    interval = config.content.get("sync-interval")
    return Database(
        config,
        path,
        of_config(str(meta)) if meta else meta_path(path),
        max(seconds_of(r.get("sync-interval", interval)) for r in replicas),
        seconds_of(raw.get("monitor-interval")),
        replicas,
        is_restored=config.series == "0.5" and bool(raw.get("restore-if-db-not-exists")),
    )


def _unknown(config: Config, path: str) -> ConfigurationError:
    entries = [one for one in config.content.get("dbs") or [] if isinstance(one, dict)]
    names = [str(one["path"]) for one in entries if one.get("path")]
    names += [directory.shown for directory in config.directories]
    known = ", ".join(map(repr, names)) or "none"
    return ConfigurationError(
        f"{path!r} is not in {config.described}. The databases there: {known}"
    )
