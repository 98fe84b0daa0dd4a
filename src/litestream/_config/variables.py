"""The variables that a config needs to say where things are, and that are not set."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from litestream._config import entries
from litestream._config import file as config_file
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from litestream._config.config import Config

_MARK = "\N{REPLACEMENT CHARACTER}"
_PLACES = ("path", "url", "bucket", "endpoint", "host", "account-name", "webdav-url")


def missing(config: Config, database: str | None = None) -> str:
    """Return a sentence on what is not set of what the config needs, or "" where nothing is wanted.

    It needs what says where a database's replica is; without a name, where every database and
    every replica is.
    """
    if config.literal or not config.path or not config_file.refers_to_unset(config.text):
        return ""
    names = _unset(config.text, database, config.series)
    if not names:
        return ""
    what = "databases and replicas" if database is None else "the replica"
    return (
        f"{' and '.join(f'${name}' for name in names)} {'is' if len(names) == 1 else 'are'} not "
        f"set here, and {config.described} needs that to name {what}. Set what the daemon has, "
        "and try again"
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
        content = config_file.parse(config_file.expand(text, mark=_MARK), "", expanded=True)
        raws = [raw for raw in content.get("dbs") or [] if isinstance(raw, dict)]
        unplaced = [raw for raw in raws if _MARK in f"{raw.get('path')}{raw.get('dir')}"]
        found = [raw.get(key) for raw in unplaced for key in ("path", "dir")]
        if database is None:
            found += [places for raw in raws for places in _places(_replicas(raw))]
        else:
            rest = {"dbs": [raw for raw in raws if raw not in unplaced]}
            raw = dict(entries.named(rest, series)).get(database)
            if raw is not None:  # it is none of those whose path is not known
                found = _places(entries.replicas_of(database, raw, series))
    except (ConfigurationError, TypeError):  # the config has other faults, and nothing is known
        return []
    return sorted(set(re.findall(f"{_MARK}(.+?){_MARK}", " ".join(map(str, found)))))


def _replicas(raw: dict[str, Any]) -> list[Any]:
    listed = raw.get("replicas")
    return [raw.get("replica"), *(listed if isinstance(listed, list) else [])]


def _places(replicas: Iterable[Any]) -> list[Any]:
    return [one.get(key) for one in replicas if isinstance(one, dict) for key in _PLACES]
