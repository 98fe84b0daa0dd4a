"""What the config says about one database: where its state, its replicas and its daemon are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream import configuration
from litestream._config import databases as config_databases
from litestream._config import file as config_file
from litestream._config import places
from litestream._config.file import socket_path
from litestream._executable import listings, parse, run
from litestream._executable.arguments import is_url, target
from litestream._executable.series import require_series
from litestream._executable.series import series as series_of
from litestream.errors import CommandFailedError, ConfigurationError

if TYPE_CHECKING:
    from litestream._executable.arguments import StrPath
    from litestream.rows import DatabaseRow


class Source(NamedTuple):
    """A database of the config, and how to ask about it.

    ``meta`` is Litestream's local state, ``replicas`` what the config says of them, ``interval``
    the seconds that the config lets a commit wait. ``socket`` is the daemon's control socket (0.5),
    ``metrics`` the address of its metrics page, both "" where there is none. With ``flags`` the
    executable finds the database in ``config``. ``replica`` is the one that is meant (0.3), None
    where there is but one.
    """

    database: str
    meta: str
    replicas: list[dict[str, Any]]
    config: str
    series: str
    flags: dict[str, Any]
    socket: str
    metrics: str
    interval: float = 0.0
    replica: str | None = None

    @property
    def folders(self) -> list[str] | None:
        """Return the replicas' directories; None if one is on no disk, or cannot be looked into."""
        found = [not r.get("age") and places.directory(r) for r in self.replicas]
        return [folder for folder in found if folder] if all(found) else None

    @property
    def names(self) -> list[str]:
        """Return the replicas' names."""
        return [places.name(replica) for replica in self.replicas]

    def each_replica(self) -> list[Source]:
        """Return it once for each of its replicas, with that one alone."""
        if len(self.replicas) == 1:
            return [self]
        return [self._replace(replicas=[r], replica=places.name(r)) for r in self.replicas]

    def require_valid(self) -> None:
        """Let Litestream say what it refuses in the config, if that is why nothing comes.

        Raises:
            CommandFailedError: its own words.

        """
        listings.databases(config=self.config, **self.flags)


def find(database: StrPath, config: StrPath | None, replica: str | None = None) -> Source:
    """Return the database's entry in the config, with all its replicas or the one that is named.

    A symbolic link to a database of the config stands for it.

    Raises:
        ConfigurationError: it is a replica URL, the config does not name it, or it has no such
            replica.

    """
    if is_url(database):
        raise ConfigurationError(
            f"{configuration.masked(os.fspath(database))!r} is a replica URL. Name the database"
        )
    series = series_of()
    if replica is not None:
        require_series("0.3", "replica= (0.5 has one replica for each database)")
    path, file = target(database), configuration.find_config(config)
    for literal in (False, True):
        content = config_file.read(file, literal=literal)
        known = dict(config_databases.named(content, series))
        name = path if path in known else os.path.realpath(path)
        if name in known:
            entry = config_databases.entry(name, known[name], content, series)
            return Source(
                database=name,
                meta=entry.meta,
                replicas=places.chosen(entry, replica),
                config=file,
                series=series,
                flags={"no_expand_env": True} if literal else {},
                socket=socket_path(file),
                metrics=content.get("addr") or "",
                interval=entry.interval + parse.seconds_of(known[name].get("monitor-interval")),
                replica=replica,
            )
    raise _unknown(content, path, file)


def listed(config: StrPath | None, timeout: float | None = run.TIMEOUT) -> list[DatabaseRow]:
    """Return the rows of ``commands.databases``, unless they leave a database out.

    Source: of a ``dir:`` entry, 0.5.17 lists the working directory, or complains of its keys.

    Raises:
        ConfigurationError: there is such an entry.
        CommandFailedError, CommandTimeoutError: as ``commands.databases``.

    """
    try:
        rows = listings.databases(config=config, timeout=timeout)
    except CommandFailedError:
        _require_listed(config)
        raise
    if any(os.path.isdir(row["path"]) for row in rows):
        _require_listed(config)
    return rows


def _require_listed(config: StrPath | None) -> None:
    content = config_file.read(configuration.find_config(config))
    for _ in config_databases.named(content, series_of()):
        pass


def _unknown(content: dict[str, Any], path: str, file: str) -> ConfigurationError:
    entries = [entry for entry in content.get("dbs") or [] if isinstance(entry, dict)]
    known = ", ".join(repr(entry["path"]) for entry in entries if entry.get("path")) or "none"
    return ConfigurationError(
        f"{path!r} is not in the config {file!r}. The databases there: {known}"
    )
