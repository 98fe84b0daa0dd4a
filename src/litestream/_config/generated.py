"""A config that is written for `databases=`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from litestream import configuration
from litestream._executable.arguments import target
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence


def from_databases(databases: Mapping[Any, str | Sequence[str]], interval: float) -> dict[str, Any]:
    """Return the content of a config for `path → replica URL or URLs`."""
    if not isinstance(databases, Mapping):
        raise ConfigurationError(
            f"databases= maps each path to its replica URL; it is {type(databases).__name__}"
        )
    dbs = []
    every = f"{round(interval * 1000)}ms"
    for path, urls in databases.items():
        replicas = []
        for url in urls if isinstance(urls, (list, tuple)) else [urls]:
            if not isinstance(url, str):
                raise ConfigurationError(
                    f"The replica of {os.fspath(path)!r} must be a URL, such as "
                    "'file:///backups/app'"
                )
            replicas.append(configuration.Content(_replica(url), **{"sync-interval": every}))
        name = target(path)
        if not _is_text(name):
            raise ConfigurationError(f"The path {name!r} is no UTF-8, so no config can name it")
        dbs.append({"path": name, "monitor-interval": every, "replicas": replicas})
    return {"dbs": dbs}


def _replica(url: str) -> dict[str, str]:
    """Return a config's words for a URL; a directory by its path, which no URL escapes."""
    path = url.removeprefix("file://")
    return {"url": url} if path == url else {"type": "file", "path": path}


def as_yaml(content: Mapping[str, Any]) -> str:
    """Write JSON, which is YAML; unescaped, as YAML knows no surrogate pairs."""
    return configuration.Text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
