"""The entries of the databases in a config, as the executable reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from litestream._config import paths
from litestream._config.directories import Directory
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def named(
    content: Mapping[str, Any], series: str, *, lost: bool = True
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path and the entry of each database in a config's content.

    A directory's entry (0.5) yields an entry for each database that is there now, and with ``lost``
    for each that was replicated and is not on disk.

    Raises:
        ConfigurationError: An entry is not a mapping, names no database, or names a directory that
            cannot be listed.

    """
    if not isinstance(content.get("dbs") or [], list):
        raise ConfigurationError(
            "The config's 'dbs:' is not a list: write '- path: …' for each database"
        )
    for raw in content.get("dbs") or []:
        if not isinstance(raw, dict):
            raise ConfigurationError(
                "An entry of the config's 'dbs:' list is not a mapping: write '- path: …'"
            )
        if series == "0.5" and raw.get("dir"):
            directory = Directory.of(raw)
            for path in directory.databases(lost=lost):
                yield path, directory.entry(path)
            continue
        if not raw.get("path"):
            raise ConfigurationError(
                "A database of the config has no 'path:': add one to its entry"
            )
        path = str(raw["path"])
        if series == "0.5":  # to 0.3 the scheme is a part of the path
            path = re.sub(r"^sqlite3?://", "", path)
        yield paths.of_config(path), raw


def replicas_of(path: str, raw: Mapping[str, Any], series: str) -> list[dict[str, Any]]:
    """Return the replicas of a database's entry.

    Raises:
        ConfigurationError: The database has no replica for this series, or cannot have one.

    """
    paths.refuse_stray(path, series)
    paths.refuse_link(path)
    replicas = raw.get("replicas") or []
    if series == "0.5" and raw.get("replica"):
        replicas = [raw["replica"]]
    if not isinstance(replicas, list) or not all(isinstance(replica, dict) for replica in replicas):
        raise ConfigurationError(
            f"The replicas of {path!r} are not a list of mappings: write '- type: …'"
        )
    for replica in replicas:
        url = str(replica.get("url") or "")
        if re.match(r"file:(?!//)", url, re.IGNORECASE):
            raise ConfigurationError(
                f"The replica {url!r} of {path!r} has no '//': write a directory as 'path: …', or "
                "with three slashes, as in 'url: file:///backups'"
            )
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


def seconds_of(duration: object) -> float:
    """Return a duration of the config in seconds; without one, upstream's default of 1 second."""
    parts = _DURATION.findall(str(duration)) if duration else []
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else 1.0
