"""The databases in the content of a config, as the executable reads them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from litestream._config import paths
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def named(content: Mapping[str, Any], series: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path of each database of a config's content, and its entry as it is written.

    Raises:
        ConfigurationError: An entry is no mapping, or names nothing, or a directory (0.5): what
            appears there is replicated, but not restored from the config.

    """
    if not isinstance(content.get("dbs") or [], list):
        raise ConfigurationError("The config's 'dbs:' is no list of databases")
    for raw in content.get("dbs") or []:
        if not isinstance(raw, dict):
            raise ConfigurationError("An entry of the config's 'dbs:' list is no mapping")
        if series == "0.5" and raw.get("dir"):
            raise _unsupported(str(raw["dir"]), str(raw.get("pattern") or "*.db"))
        if not raw.get("path"):
            raise ConfigurationError("A database of the config has no 'path:'")
        path = str(raw["path"])
        if series == "0.5":  # 0.3 takes the scheme for a part of the path
            path = re.sub(r"^sqlite3?://", "", path)
        yield paths.target(path), raw


def replicas_of(path: str, raw: Mapping[str, Any], series: str) -> list[dict[str, Any]]:
    """Return the replicas of a database's entry.

    Raises:
        ConfigurationError: It has no replica that this series would use, or cannot have one.

    """
    paths.refuse_stray(path, series)
    refuse_link(path)
    replicas = raw.get("replicas") or []
    if series == "0.5" and raw.get("replica"):
        replicas = [raw["replica"]]
    if not isinstance(replicas, list) or not all(isinstance(replica, dict) for replica in replicas):
        raise ConfigurationError(f"The replicas of {path!r} must be a list of mappings")
    if not replicas:
        more = " (0.3 ignores 'replica:'; write 'replicas:')" if raw.get("replica") else ""
        raise ConfigurationError(
            f"The database {path!r} has no replica{more}: it would be copied nowhere"
        )
    if series == "0.5" and len(replicas) > 1:
        raise ConfigurationError(
            f"The database {path!r} has {len(replicas)} replicas; Litestream 0.5 takes one. Keep "
            "one, or install the other series: pip install 'litestream==0.3.*'"
        )
    return replicas


def refuse_link(path: str) -> None:
    """Refuse a database of the config that is a symbolic link, even one that leads nowhere.

    Source: SQLite keeps the WAL beside the file to which a link leads; both series look for the WAL
    beside the link, and so copy nothing, or an old file that lies there.
    """
    if os.path.islink(path):
        target = os.path.realpath(path)
        raise ConfigurationError(
            f"The database {path!r} is a symbolic link to {target!r}. SQLite keeps its WAL beside "
            "that file, and Litestream would look for it beside the link: no change would be "
            f"copied. Write the file itself into the config: 'path: {target}'"
        )


def seconds_of(duration: object) -> float:
    """Return a duration of the config in seconds; upstream's default of one where there is none."""
    parts = _DURATION.findall(str(duration)) if duration else []
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else 1.0


def _unsupported(folder: str, pattern: str) -> ConfigurationError:
    """Return the error that says what to write instead of a ``dir:`` entry."""
    files = os.path.join(paths.target(folder), pattern)
    return ConfigurationError(
        f"The config has an entry 'dir: {folder}'. Litestream restores no database of such an "
        "entry from the config, and does not tell which it replicates, so nothing here could "
        "recover, verify or lock one. Write an entry with 'path:' for each database instead; or "
        "build a mapping in Python and pass it as config=: {path: f'file:///backups/"
        "{os.path.basename(path)}' for path in glob.glob(" + repr(files) + ")}"
    )
