"""A config in which each database of a ``dir:`` entry has an entry of its own."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from litestream import _settings
from litestream._config import file, places
from litestream._config.directories import Directory
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_DOLLAR = "\ue0f0"
"""Stands for a literal ``$`` until the text is written; no file name contains it."""


def spelt(
    content: Mapping[str, Any],
    text: str,
    databases: Callable[[Directory], Iterable[str]],
    base: str,
    *,
    literal: bool,
) -> tuple[dict[str, Any], str]:
    """Return the content and the text of a config with ``databases`` in place of each directory.

    Relative paths refer to `base`, also after the process changes its directory.

    A reference to a variable stays a reference in the new text, except in the place of a replica: a
    secret stays in its variable. If the old text is YAML only after expansion, the new text holds
    the values.
    """
    entries: list[Mapping[str, Any]] = []
    referring: list[Any] = []
    old = None if literal else _unexpanded(text, content)
    for at, raw in enumerate(content["dbs"]):
        written = old["dbs"][at] if old else raw
        if not isinstance(raw, dict):
            entries.append(raw)
            referring.append(written)
            continue
        if not raw.get("dir"):
            entries.append(places.absolute(raw, raw, base))
            referring.append(places.absolute(written, raw, base, _DOLLAR))
            continue
        directory = Directory.of(places.absolute(raw, raw, base))
        for path in databases(directory):
            entries.append(directory.entry(path))
            referring.append(_kept(directory.entry(path, written)))
    wanted = _settings.Content({**content, "dbs": entries})
    if old:
        found = file.as_yaml({**old, "dbs": referring}, expanded=False)
        found = _settings.Text(found.replace(_DOLLAR, r"\u0024"))
        with suppress(ConfigurationError):
            if file.parse(file.expand(found), "") == wanted:
                return wanted, found
    return wanted, file.as_yaml(wanted)


def _unexpanded(text: str, content: Mapping[str, Any]) -> dict[str, Any] | None:
    with suppress(ConfigurationError):
        found = file.parse(text, "")
        entries = found.get("dbs")
        if isinstance(entries, list) and len(entries) == len(content["dbs"]):
            return found if all(isinstance(entry, dict) for entry in entries) else None
    return None


def _kept(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry in which the ``$`` of a path is no reference."""
    replicas = entry.get("replicas") or []
    for part in (entry, entry.get("replica"), *(replicas if isinstance(replicas, list) else ())):
        for key in ("path", "meta-path", "url") if isinstance(part, dict) else ():
            if isinstance(part.get(key), str):
                part[key] = part[key].replace("$", _DOLLAR)
    return entry
