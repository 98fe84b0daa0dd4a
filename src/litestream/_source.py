"""What the config says about one database: where its state, its replica and its daemon are."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream import _control, _position, _run, commands, configuration
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from litestream._run import StrPath

_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class Source(NamedTuple):
    """A database of the config.

    ``meta`` is Litestream's local state, ``directory`` the replica's where it is a single one on
    a disk, ``metrics`` the address of the daemon's metrics page, ``socket`` its control socket.
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
            f"{os.fspath(database)!r} is a replica URL. To verify its backup, name the database"
        )
    series = _run.series()
    if replica is not None:
        _run.require_series("0.3", "verify(replica=…) (0.5 has one replica for each database)")
    path, file = _run.target(database), configuration.find_config(config)
    content = configuration.read(file)
    entry, literal = _entry(content, path)
    if entry is None:
        _require_configured(path, file)
        entry = {}
    meta = _expanded(entry.get("meta-path"))
    return Source(
        database=path,
        config=file,
        series=series,
        meta=os.path.abspath(meta) if meta else _position.meta_path(path),
        directory=_directory(entry, replica),
        metrics=_expanded(content.get("addr")) or None,
        socket=_control.socket_path(file),
        no_expand_env=literal or None,
    )


def _entry(content: dict[str, Any], path: str) -> tuple[dict[str, Any] | None, bool]:
    """Return the entry whose path it is, and whether it is so only without expanding ``$``."""
    for entry in content.get("dbs") or []:
        named = entry.get("path") if isinstance(entry, dict) else None
        if isinstance(named, str):
            if path == _plain(_expanded(named)):
                return entry, False
            if path == _plain(named):
                return entry, True
    return None, False


def _plain(path: str) -> str:
    return _run.target(re.sub(r"^sqlite3?://", "", path) or "/")


def _expanded(value: object) -> str:
    """Expand what the config may refer to; the child's environment has the settings, too."""
    if not isinstance(value, str):
        return ""
    known = configuration.environment()
    return _REFERENCE.sub(lambda match: known.get(match[1] or match[2], ""), value)


def _require_configured(path: str, file: str) -> None:
    """Ask the executable, which knows more forms than one (``dir`` with ``pattern``)."""
    rows = commands.databases(config=file)
    if path not in [row["path"] for row in rows]:
        known = ", ".join(repr(row["path"]) for row in rows) or "none"
        raise ConfigurationError(
            f"{path!r} is not in the config {file!r}, so nothing backs it up. The databases "
            f"there: {known}"
        )


def _directory(entry: dict[str, Any], name: str | None) -> str | None:
    """Return the directory of the only replica, or of the one that is named."""
    replicas = entry.get("replicas") or ([entry["replica"]] if entry.get("replica") else [])
    if name is not None:
        replicas = [replica for replica in replicas if replica.get("name", "file") == name]
    if len(replicas) != 1 or not isinstance(replicas[0], dict):
        return None
    url, path = _expanded(replicas[0].get("url")), _expanded(replicas[0].get("path"))
    if url.startswith("file://"):
        return url.removeprefix("file://")
    is_file = not url and replicas[0].get("type", "file") == "file"
    return os.path.abspath(os.path.expanduser(path)) if is_file and path else None
