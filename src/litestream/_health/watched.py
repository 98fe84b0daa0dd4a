"""The databases that are watched, and their settings in the config."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream import _settings
from litestream._config import places
from litestream._config.config import Config
from litestream._config.database import database_of
from litestream._config.paths import target
from litestream._database.files import meta_path
from litestream._executable.series import series as series_of
from litestream.errors import ConfigNotFoundError, ConfigurationError, LitestreamError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestream._config.config import ConfigArgument
    from litestream._config.paths import StrPath


class Watched(NamedTuple):
    """A database: its local state, and what the config says of its daemon and its replica.

    ``interval`` is the number of seconds that the config lets a commit wait. ``socket`` and
    ``metrics`` are "" if the config has none. ``trouble`` says why the config's entry cannot be
    used, or is "".
    """

    path: str
    meta: str
    series: str
    interval: float = 0.0
    socket: str = ""
    metrics: str = ""
    replica: str | None = None
    trouble: str = ""


def find(named: Sequence[StrPath] | None, config: ConfigArgument) -> list[Watched]:
    """Return the databases to watch: the named ones, or all of the config.

    A named database need not be in this config: its daemon may have another one.

    Raises:
        ConfigNotFoundError, ConfigurationError: The config is needed and cannot be read.

    """
    series = _series()
    try:
        known = _of_config(Config.load(config, series))
    except ConfigNotFoundError:
        if named is None or config is not None:
            raise
        known = {}
    if named is None:
        return list(known.values())
    found = []
    for database in named:
        path = target(database)
        real = os.path.realpath(path)
        found.append(known.get(path) or known.get(real) or Watched(real, meta_path(real), series))
    return found


def _series() -> str:
    with suppress(LitestreamError):
        return series_of()
    return "0.5"


def _of_config(config: Config) -> dict[str, Watched]:
    content, series = config.content, config.series
    socket = config.own_socket
    metrics = str(content.get("addr") or "")
    found = {}
    for name in [*config.paths, *config.unusable]:
        try:
            database = database_of(config, name)
            wait = database.interval + database.monitor_interval
            shown = ", ".join(_shown(r, content, series) for r in database.replicas)
            watched = Watched(name, database.meta, series, wait, socket, metrics, shown)
        except ConfigurationError as error:
            trouble = _settings.masked(str(error))
            watched = Watched(name, meta_path(name), series, trouble=trouble)
        found[name] = watched
    return found


def _shown(replica: Mapping[str, Any], content: Mapping[str, Any], series: str) -> str:
    """Return the place of a replica as a URL, without a key, a password or a query."""
    kind, *parts = places.place(replica, content, series)
    if kind == "file":
        folder = parts[0]
        return folder if "://" in folder else f"file://{folder}"
    if kind == "sftp":
        parts = [parts[0], parts[2].lstrip("/")]
    elif len(parts) > 2:  # the service's endpoint comes first
        parts = parts[1:]
    text = "/".join(part.rpartition("@")[2] for part in parts if part)
    return _settings.masked(f"{kind}://{re.sub(r'[?#].*', '', text)}")
