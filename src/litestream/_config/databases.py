"""What a config says of its databases, as the executable would read it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream._config import places
from litestream._database.files import meta_path
from litestream._executable.arguments import refuse_stray
from litestream._executable.arguments import target as target_of
from litestream._executable.parse import seconds_of
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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
    found = [entry(path, raw, content, series) for path, raw in named(content, series)]
    if not found:
        raise ConfigurationError("The config names no database: add one to its 'dbs:' list")
    places.require_apart(found, content, series)
    return found


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
        yield target_of(path), raw


def entry(path: str, raw: Mapping[str, Any], content: Mapping[str, Any], series: str) -> Entry:
    """Return what a config says of one database.

    Raises:
        ConfigurationError: It has no replica that this series would use, or cannot have one.

    """
    refuse_stray(path, series)
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
    meta = raw.get("meta-path")
    intervals = [seconds_of(r.get("sync-interval", content.get("sync-interval"))) for r in replicas]
    return Entry(
        path,
        os.path.abspath(os.path.expanduser(str(meta))) if meta else meta_path(path),
        max(intervals),
        replicas,
    )


def refuse_link(path: str) -> None:
    """Refuse a database of the config that is a symbolic link, even one that leads nowhere.

    Source: SQLite keeps the WAL beside the file that a link leads to; both series look for it
    beside the link, and so copy nothing, or what lies there from before.
    """
    if os.path.islink(path):
        target = os.path.realpath(path)
        raise ConfigurationError(
            f"The database {path!r} is a symbolic link to {target!r}. SQLite keeps its WAL beside "
            "that file, and Litestream would look for it beside the link: no change would be "
            f"copied. Write the file itself into the config: 'path: {target}'"
        )


def _unsupported(folder: str, pattern: str) -> ConfigurationError:
    """Return the error that says what to write instead of a ``dir:`` entry."""
    files = os.path.join(target_of(folder), pattern)
    return ConfigurationError(
        f"The config has an entry 'dir: {folder}'. Litestream restores no database of such an "
        "entry from the config, and does not tell which it replicates, so nothing here could "
        "recover, verify or lock one. Write an entry with 'path:' for each database instead; or "
        "build databases= for Replication and recover in Python: {path: f'file:///backups/"
        "{os.path.basename(path)}' for path in glob.glob(" + repr(files) + ")}"
    )


def has_local_state(entry: Entry) -> bool:
    """Tell whether Litestream, of either series, already keeps state of its own for a database."""
    return any(os.path.exists(os.path.join(entry.meta, name)) for name in ("generation", "ltx"))
