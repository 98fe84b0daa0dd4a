"""What the config says about one database: where its state, its replicas and its daemon are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream import _control, _entries, _listings, _run, configuration
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from litestream._run import StrPath


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
        found = [not r.get("age") and _entries.directory(r) for r in self.replicas]
        return [folder for folder in found if folder] if all(found) else None

    @property
    def names(self) -> list[str]:
        """Return the replicas' names."""
        return [_entries.name(replica) for replica in self.replicas]

    def each_replica(self) -> list[Source]:
        """Return it once for each of its replicas, with that one alone."""
        if len(self.replicas) == 1:
            return [self]
        return [self._replace(replicas=[r], replica=_entries.name(r)) for r in self.replicas]

    def require_valid(self) -> None:
        """Let Litestream say what it refuses in the config, if that is why nothing comes.

        Raises:
            CommandFailedError: its own words.

        """
        _listings.databases(config=self.config, **self.flags)


def find(
    database: StrPath, config: StrPath | None, replica: str | None = None, *, dirs: bool = False
) -> Source:
    """Return the database's entry in the config, with all its replicas or the one that is named.

    One that only a ``dir:`` entry covers is found with ``dirs``, to be waited for: it is
    replicated, but 0.5.17 restores and lists from the config only what has a ``path:`` of its own.

    Raises:
        ConfigurationError: it is a replica URL, or the config does not name it.

    """
    if _run.is_url(database):
        raise ConfigurationError(
            f"{configuration.masked(os.fspath(database))!r} is a replica URL. Name the database"
        )
    series = _run.series()
    if replica is not None:
        _run.require_series("0.3", "replica= (0.5 has one replica for each database)")
    path, file = _run.target(database), configuration.find_config(config)
    for literal in (False, True):
        content = configuration.read(file, literal=literal)
        raw = dict(_entries.named(content, series)).get(path)
        if raw is not None and (dirs or not raw.get("dir")):
            entry = _entries.entry(path, raw, content, series)
            names = [_entries.name(r) for r in entry.replicas]
            if replica is not None and replica not in names:
                raise ConfigurationError(
                    f"{path!r} has no replica {replica!r}. Its replicas: "
                    + ", ".join(repr(name) for name in names)
                )
            return Source(
                database=path,
                meta=entry.meta,
                replicas=[r for r in entry.replicas if replica in (None, _entries.name(r))],
                config=file,
                series=series,
                flags={"no_expand_env": True} if literal else {},
                socket=_control.socket_path(file),
                metrics=content.get("addr") or "",
                interval=entry.interval + _entries.seconds(raw.get("monitor-interval")),
                replica=replica,
            )
    raise _unknown(content, path, file)


def _unknown(content: dict[str, Any], path: str, file: str) -> ConfigurationError:
    entries = [entry for entry in content.get("dbs") or [] if isinstance(entry, dict)]
    known = ", ".join(repr(entry["path"]) for entry in entries if entry.get("path")) or "none"
    advice = ""
    if any(entry.get("dir") for entry in entries):
        advice = (
            ". A 'dir' entry may replicate it, but Litestream 0.5.17 restores from the config only "
            "what has a 'path' of its own there"
        )
    return ConfigurationError(
        f"{path!r} is not in the config {file!r}. The databases there: {known}{advice}"
    )
