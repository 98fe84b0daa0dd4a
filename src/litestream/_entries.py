"""What a config says of its databases, as the executable would read it."""

from __future__ import annotations

import os
import re
from glob import glob
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream._position import meta_path
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:\{(?P<braced>[^}]*)\}|(?P<name>[A-Za-z_]\w*)|[*#$@!?\-0-9])")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Entry(NamedTuple):
    """A database of the config: its path, its local state, its replicas as they are written."""

    path: str
    meta: str
    interval: float
    replicas: list[dict[str, Any]]


def expand(text: str, environment: Mapping[str, str]) -> str:
    """Replace `$NAME` and `${NAME}` as Litestream does before it reads the YAML.

    Source: Go's `os.Expand`, which both series call on the whole file: an unknown name becomes
    nothing, `$$` and the like vanish, there is no escape.
    """
    return _REFERENCE.sub(lambda m: environment.get(m["braced"] or m["name"] or "", ""), text)


def parse(text: str, origin: str) -> dict[str, Any]:
    """Return the content of a config.

    Raises:
        ConfigurationError: It is no YAML, or no mapping.

    """
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"The config {origin!r} cannot be read: {error}") from error
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"The config {origin!r} is no mapping; it needs a 'dbs:' list")
    return content


def entries(content: Mapping[str, Any], series: str) -> list[Entry]:
    """Return the databases of a config's content, its references already replaced.

    Raises:
        ConfigurationError: There is none, or one has no replica that this series would use.

    """
    found = []
    for entry in content.get("dbs") or []:
        if not isinstance(entry, dict):
            raise ConfigurationError("An entry of the config's 'dbs:' list is no mapping")
        found += [_entry(path, entry, content, series) for path in _paths(entry, series)]
    if not found and not any(entry.get("dir") for entry in content.get("dbs") or []):
        raise ConfigurationError("The config names no database: add one to its 'dbs:' list")
    return found


def _paths(entry: Mapping[str, Any], series: str) -> list[str]:
    if series == "0.5" and entry.get("dir"):
        pattern = "**/" if entry.get("recursive") else ""
        pattern += str(entry.get("pattern") or "*.db")
        folder = os.path.abspath(os.path.expanduser(str(entry["dir"])))
        return [p for p in glob(os.path.join(folder, pattern), recursive=True) if os.path.isfile(p)]
    if not entry.get("path"):
        raise ConfigurationError("A database of the config has no 'path:'")
    path = str(entry["path"])
    if series == "0.5":  # 0.3 takes the scheme for a part of the path
        path = re.sub(r"^sqlite3?://", "", path)
    path = os.path.abspath(os.path.expanduser(path))
    if series == "0.5" and (wrong := [c for c in "#%?" if c in path]):
        # 0.5.17 puts the path into a SQLite URI as it is, and opens another file.
        raise ConfigurationError(
            f"Litestream 0.5 cannot replicate {path!r}: the path contains {wrong[0]!r}. Rename the "
            "database or its folder"
        )
    return [path]


def _entry(path: str, entry: Mapping[str, Any], content: Mapping[str, Any], series: str) -> Entry:
    replicas = entry.get("replicas") or []
    if series == "0.5" and entry.get("replica"):
        replicas = [entry["replica"]]
    if not isinstance(replicas, list) or not all(isinstance(replica, dict) for replica in replicas):
        raise ConfigurationError(f"The replicas of {path!r} must be a list of mappings")
    if not replicas:
        more = " (0.3 ignores 'replica:'; write 'replicas:')" if entry.get("replica") else ""
        raise ConfigurationError(
            f"The database {path!r} has no replica{more}: it would be copied nowhere"
        )
    if series == "0.5" and len(replicas) > 1:
        raise ConfigurationError(
            f"The database {path!r} has {len(replicas)} replicas; Litestream 0.5 takes one. Keep "
            "one, or install the other series: pip install 'litestream==0.3.*'"
        )
    meta = entry.get("meta-path")
    intervals = [_seconds(r.get("sync-interval", content.get("sync-interval"))) for r in replicas]
    return Entry(
        path,
        os.path.abspath(os.path.expanduser(str(meta))) if meta else meta_path(path),
        max(intervals),
        replicas,
    )


def _seconds(duration: object) -> float:
    parts = _DURATION.findall(str(duration)) if duration else []
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else 1.0


def has_local_state(entry: Entry) -> bool:
    """Tell whether Litestream, of either series, already keeps state of its own for a database."""
    return any(os.path.exists(os.path.join(entry.meta, name)) for name in ("generation", "ltx"))
