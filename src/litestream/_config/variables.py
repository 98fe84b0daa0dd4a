"""The variables that a config needs to say where things are, and that are not set."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from litestream._config import directories, entries, places
from litestream._config import file as config_file
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from litestream._config.config import Config

_MARK = "\N{REPLACEMENT CHARACTER}"
_PLACES = ("path", "url", "bucket", "endpoint", "host", "account-name", "webdav-url")


def missing(config: Config, database: str | None = None) -> str:
    """Name the variables that are not set, and that the config needs; return "" if there are none.

    The config needs what says where the replica of a database is; without a name, where every
    database and every replica is. A variable is not needed if the path without its value exists.
    """
    try:
        if config.literal or not config.path or not config_file.refers_to_unset(config.text):
            return ""
    except ConfigurationError:  # it cannot be read, and the executable says why
        return ""
    names = _unset(config.text, database, config.series)
    if not names:
        return ""
    what = "databases and replicas" if database is None else "the replica"
    if any(":-" in name for name in names):
        written = next(name for name in names if ":-" in name)
        return (
            f"Litestream has no default values: '${{{written}}}' in {config.described} is the name "
            "of a variable that is not set. Write the value, or set a variable without ':-'"
        )
    return (
        f"{' and '.join(f'${name}' for name in names)} {'is' if len(names) == 1 else 'are'} not "
        f"set here, and {config.described} needs that to find {what}. Set the same value as for "
        "the daemon, and try again"
    )


def require_set(config: Config, database: str | None = None) -> None:
    """Refuse a config by which the executable would look at another place.

    Raises:
        ConfigurationError: A variable is not set.

    """
    if lack := missing(config, database):
        raise ConfigurationError(lack)


def _unset(text: str, database: str | None, series: str) -> list[str]:
    try:
        pairs = zip(*(_entries(text, mark) for mark in ("", _MARK)), strict=True)
        found: list[Any] = []
        for raw, marked in pairs:
            own = [marked.get(key) for key in ("path", "dir")]
            if database is None:
                found += [*([] if _is_there(raw) else own), *_nowhere(raw, _replicas(raw, marked))]
            elif any(raw.get(key) for key in ("path", "dir")) and database in dict(
                entries.named({"dbs": [raw]}, series)
            ):
                both = [entries.replicas_of(database, one, series) for one in (raw, marked)]
                found = _nowhere(raw, zip(*both, strict=True))
                break
            else:  # it may be one whose path is not known here
                found += own
    except (ConfigurationError, TypeError, ValueError):  # the config has other faults
        return []
    return sorted(set(re.findall(f"{_MARK}(.+?){_MARK}", " ".join(map(str, found)))))


def _entries(text: str, mark: str) -> list[dict[str, Any]]:
    content = config_file.parse(config_file.expand(text, mark=mark), "", expanded=True)
    return [raw for raw in content.get("dbs") or [] if isinstance(raw, dict)]


def _is_there(raw: dict[str, Any]) -> bool:
    """Tell whether an entry leads to something, although a part of its path is not set."""
    return any(os.path.exists(str(raw.get(key) or "")) for key in ("path", "dir"))


def _replicas(raw: dict[str, Any], marked: dict[str, Any]) -> Iterable[tuple[Any, Any]]:
    listed = [one.get("replicas") for one in (raw, marked)]
    lists = [one if isinstance(one, list) else [] for one in listed]
    return [(raw.get("replica"), marked.get("replica")), *zip(*lists, strict=True)]


def _nowhere(entry: dict[str, Any], replicas: Iterable[tuple[Any, Any]]) -> list[Any]:
    """Return the places of an entry's replicas but for directories that hold backups.

    The directory above them is there without the variable, too.
    """
    found = [
        marked
        for raw, marked in replicas
        if isinstance(marked, dict) and not _holds_backups(entry, places.directory(raw))
    ]
    return [marked.get(key) for marked in found for key in _PLACES]


def _holds_backups(entry: dict[str, Any], folder: str | None) -> bool:
    if not folder:
        return False
    if entry.get("dir"):  # a directory of its own for each database
        recursive = entry.get("recursive") is True
        return any(directories.marked(folder, *places.OWN, recursive=recursive))
    return any(os.path.isdir(os.path.join(folder, name)) for name in places.OWN)
