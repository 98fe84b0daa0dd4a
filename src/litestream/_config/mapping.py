"""A mapping of databases to replicas as the content of a config."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from litestream import _settings
from litestream._config import paths, places
from litestream._config.keys import BY_PLACE, PLACES
from litestream.errors import ConfigurationError

_DURATION = re.compile(r"(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0")
_KINDS: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "texts": (list, tuple),
    "mapping": (Mapping,),
}
_WANTED = {"bool": "True or False", "int": "a whole number", "texts": "a list", "mapping": "a dict"}


def resolved(databases: Mapping[Any, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return each database's file and its replicas, with symbolic links resolved now.

    A later change of a link must not change what is replicated.

    Raises:
        ConfigurationError: A path or a replica is not valid, or two paths lead to one file.

    """
    found: dict[str, list[dict[str, Any]]] = {}
    for name, given in databases.items():
        path = _file(name)
        if path in found:
            raise ConfigurationError(f"Two paths of the mapping lead to {path!r}. Keep one")
        several = isinstance(given, (list, tuple))
        found[path] = [_replica(path, one) for one in (given if several else [given])]
    return found


def content_of(databases: Mapping[Any, Any], series: str) -> dict[str, Any]:
    """Return the content of a config for ``path → replica, or replicas``.

    Raises:
        ConfigurationError: As ``resolved``, or the series has no such key, or takes other values.

    """
    entries = []
    for path, replicas in resolved(databases).items():
        for replica in replicas:
            _require_known(path, replica, series)
        entries.append(_settings.Content(path=path, replicas=_named_apart(replicas)))
    return _settings.Content(dbs=entries)


def _named_apart(replicas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Name the second replica of a type, and each further one: 0.3 refuses the same name twice."""
    found, taken = [], set()
    for replica in replicas:
        first = name = places.name(replica)
        number = 1
        while name in taken and "name" not in replica:
            number += 1
            name = f"{first}-{number}"
        taken.add(name)
        found.append(replica if name == first else _settings.Content(replica, name=name))
    return found


def _file(given: Any) -> str:
    """Return the file to which a path leads: SQLite keeps the WAL beside the file, not the link."""
    if not isinstance(given, (str, os.PathLike)) or not os.fspath(given):
        raise ConfigurationError(
            f"A config that is a mapping maps each database's path to its replica; {given!r} is "
            "not a path"
        )
    if paths.is_url(given):
        shown = _settings.masked(os.fsdecode(given))
        raise ConfigurationError(
            f"A config that is a mapping maps each database's path to its replica; {shown!r} is a "
            "URL. Is it the wrong way round?"
        )
    path = paths.target(given)
    path = os.path.realpath(path) if os.path.islink(path) else path
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"The path {path!r} is not UTF-8, so no config can name it: rename the file"
        ) from None
    return path


def _replica(path: str, given: Any) -> dict[str, Any]:
    """Return a replica as in a config; a directory by its path, in which nothing is escaped."""
    if isinstance(given, Mapping):
        found = _settings.Content({key: _plain(value) for key, value in given.items()})
        url = found.get("url")
        if url is None:
            if isinstance(found.get("path"), str) and found.get("type", "file") == "file":
                found["path"] = paths.target(found["path"])
            return found
        del found["url"]
    else:
        found, url = _settings.Content(), given
    if not isinstance(url, str) or not paths.is_url(url):
        raise ConfigurationError(
            f"The replica of {path!r} must be a URL, such as 'file:///backups/app', a list of "
            "URLs (0.3), or the keys of a replica as in litestream.yml"
        )
    if _settings.masked(url) != url:
        raise ConfigurationError(
            f"The replica of {path!r} is a URL with a password in it, {_settings.masked(url)}: "
            "logs would show it. Give the replica's keys instead, as in {'url': 'sftp://user@host/"
            "path', 'password': …}"
        )
    if url.lower().startswith("file://"):
        return _settings.Content(found, type="file", path=paths.directory(url))
    return _settings.Content(found, url=url)


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return _settings.Content({key: _plain(inner) for key, inner in value.items()})
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _require_known(path: str, replica: Mapping[str, Any], series: str) -> None:
    known = BY_PLACE["replica"]
    for name, value in replica.items():
        key = known.get(name)
        if key is None:
            raise ConfigurationError(
                f"The replica of {path!r} has no key {name!r}. {_meant(name, series)}"
            )
        if series not in key.series:
            raise ConfigurationError(
                f"The key {name!r} in the replica of {path!r} is one of Litestream "
                f"{key.series[0]}; the executable is of series {series}"
            )
        if value is not None and not _is_of(key.kind, value):
            wanted = _WANTED.get(key.kind, "text")
            if key.kind == "duration":
                wanted = "a duration with its unit, such as '10s'"
            raise ConfigurationError(
                f"The key {name!r} in the replica of {path!r} takes {wanted}, not "
                f"{type(value).__name__ if key.kind != 'duration' else 'this'}"
            )


def _is_of(kind: str, value: object) -> bool:
    if kind == "duration":
        return isinstance(value, str) and _DURATION.fullmatch(value) is not None
    if kind == "size" and type(value) is int:
        return True
    return isinstance(value, _KINDS.get(kind, (str,))) and (kind == "bool" or value is not True)


def _meant(name: object, series: str) -> str:
    import difflib

    for place, keys in BY_PLACE.items():
        if name in keys:
            return f"It belongs to {PLACES[place]}: write a litestream.yml for that"
    here = [key.name for key in BY_PLACE["replica"].values() if series in key.series]
    if close := difflib.get_close_matches(str(name).replace("_", "-").lower(), here, 1):
        return f"Did you mean {close[0]!r}?"
    return f"The keys are: {', '.join(sorted(here))}"
