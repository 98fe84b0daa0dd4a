"""What the config says about one database: where its state, its replica and its daemon are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream import _control, _entries, _run, configuration
from litestream._lock import Lock
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from litestream._run import StrPath


class Source(NamedTuple):
    """A database of the config.

    ``meta`` is Litestream's local state, ``directory`` the replica's where it is a single one on
    a disk, ``metrics`` the address of the daemon's metrics page, ``socket`` its control socket
    (that of ``Replication`` if such a daemon runs, else the config's).
    ``no_expand_env`` is the flag with which the executable finds the database in the config.
    """

    database: str
    config: str
    series: str
    meta: str
    directory: str | None
    metrics: str | None
    socket: str
    no_expand_env: bool | None


def find(database: StrPath, config: StrPath | None, replica: str | None) -> Source:
    """Return the database's entry in the config.

    Raises:
        ConfigurationError: it is a replica URL, or the config does not name it.

    """
    if _run.is_url(database):
        raise ConfigurationError(
            f"{configuration.masked(os.fspath(database))!r} is a replica URL. To verify its "
            "backup, name the database"
        )
    series = _run.series()
    if replica is not None:
        _run.require_series("0.3", "verify(replica=…) (0.5 has one replica for each database)")
    path, file = _run.target(database), configuration.find_config(config)
    for literal in (False, True):
        content = configuration.read(file, literal=literal)
        raw = dict(_entries.named(content, series)).get(path)
        if raw is not None and not raw.get("dir"):
            entry = _entries.entry(path, raw, content, series)
            return Source(
                database=path,
                config=file,
                series=series,
                meta=entry.meta,
                directory=_directory(entry, replica),
                metrics=content.get("addr") or None,
                socket=Lock(path).noted().get("socket") or _control.socket_path(file),
                no_expand_env=literal or None,
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


def _directory(entry: _entries.Entry, name: str | None) -> str | None:
    """Return the directory of the only replica, or of the one that is named."""
    replicas = entry.replicas
    if name is not None:
        replicas = [replica for replica in replicas if replica.get("name", "file") == name]
    return _entries.directory(replicas[0]) if len(replicas) == 1 else None
