"""What a config says of its databases, as the executable would read it."""

from __future__ import annotations

import os
import re
from glob import glob
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream import _run
from litestream._position import meta_path
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_PLACE = ("type", "url", "path", "bucket", "endpoint", "host", "account-name", "account-url")
_PLAIN_URL = re.compile(r"[\w.~$&+,/:;=@-]+", re.ASCII)
"""A URL in which Litestream escapes nothing: it names the directory as it stands there."""
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Entry(NamedTuple):
    """A database of the config: its path, its local state, its replicas as they are written."""

    path: str
    meta: str
    interval: float
    replicas: list[dict[str, Any]]


def entries(content: Mapping[str, Any], series: str) -> list[Entry]:
    """Return the databases of a config's content.

    Raises:
        ConfigurationError: There is none, or one has no replica that this series would use, or
            two have the same: each would write over the other's backups.

    """
    found: list[Entry] = []
    owners: dict[tuple[str, ...], str] = {}
    for path, raw in named(content, series):
        found.append(entry(path, raw, content, series))
        for replica in [] if raw.get("dir") else found[-1].replicas:  # those get paths of their own
            place = tuple(str(replica.get(key)) for key in _PLACE)
            if owners.setdefault(place, path) != path:
                raise ConfigurationError(
                    f"{owners[place]!r} and {path!r} have the same replica: each would write over "
                    "the other's backups. Give each a path of its own"
                )
    if not found and not any(raw.get("dir") for raw in content.get("dbs") or []):
        raise ConfigurationError("The config names no database: add one to its 'dbs:' list")
    return found


def named(content: Mapping[str, Any], series: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path of each database of a config's content, and its entry as it is written.

    Raises:
        ConfigurationError: An entry is no mapping, or names nothing.

    """
    if not isinstance(content.get("dbs") or [], list):
        raise ConfigurationError("The config's 'dbs:' is no list of databases")
    for raw in content.get("dbs") or []:
        if not isinstance(raw, dict):
            raise ConfigurationError("An entry of the config's 'dbs:' list is no mapping")
        if series == "0.5" and raw.get("dir"):
            pattern = "**/" if raw.get("recursive") else ""
            pattern += str(raw.get("pattern") or "*.db")
            folder = _run.target(str(raw["dir"]))
            for path in glob(os.path.join(folder, pattern), recursive=True):
                if os.path.isfile(path):
                    yield path, raw
            continue
        if not raw.get("path"):
            raise ConfigurationError("A database of the config has no 'path:'")
        path = str(raw["path"])
        if series == "0.5":  # 0.3 takes the scheme for a part of the path
            path = re.sub(r"^sqlite3?://", "", path)
        yield _run.target(path), raw


def entry(path: str, raw: Mapping[str, Any], content: Mapping[str, Any], series: str) -> Entry:
    """Return what a config says of one database.

    Raises:
        ConfigurationError: It has no replica that this series would use, or cannot have one.

    """
    _run.refuse_stray(path, series)
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
    meta = raw.get("meta-path")
    intervals = [seconds(r.get("sync-interval", content.get("sync-interval"))) for r in replicas]
    return Entry(
        path,
        os.path.abspath(os.path.expanduser(str(meta))) if meta else meta_path(path),
        max(intervals),
        replicas,
    )


def seconds(duration: object) -> float:
    """Return a duration of the config in seconds; upstream's default of one where there is none."""
    parts = _DURATION.findall(str(duration)) if duration else []
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else 1.0


def has_local_state(entry: Entry) -> bool:
    """Tell whether Litestream, of either series, already keeps state of its own for a database."""
    return any(os.path.exists(os.path.join(entry.meta, name)) for name in ("generation", "ltx"))


def name(replica: Mapping[str, Any]) -> str:
    """Return a replica's name (0.3): the one it has, or its type's."""
    scheme, found, _ = str(replica.get("url") or "").partition("://")
    return str(replica.get("name") or (scheme if found else "") or replica.get("type") or "file")


def directory(replica: Mapping[str, Any]) -> str | None:
    """Return the directory of a replica that is one."""
    url = str(replica.get("url") or "")
    if url.startswith("file://"):
        return url.removeprefix("file://") if _PLAIN_URL.fullmatch(url) else None
    path = str(replica.get("path") or "")
    if path and not url and replica.get("type", "file") == "file" and not _run.is_url(path):
        return _run.target(path)
    return None
