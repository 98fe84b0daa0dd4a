"""What the adapters share: where the config is, and the command line inside another one."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

Config = str | os.PathLike[str] | Mapping[Any, Any] | None
"""The config's path, or a mapping of a database's path to its replica."""


def where(config: Config) -> dict[str, Any]:
    """Return the arguments of ``Replication`` and ``recover`` that say what is replicated."""
    return {"databases" if isinstance(config, Mapping) else "config": config}


def require_known(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Refuse a name that nobody knows, and propose the one that was meant.

    Raises:
        ConfigurationError: One of those given is not known.

    """
    names = sorted(known)
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(names)}"
            raise ConfigurationError(f"{name!r} is not {what}. {hint}")
