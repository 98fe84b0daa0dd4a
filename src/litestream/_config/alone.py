"""The config of one database alone: reading a thousand entries takes longer than many a restore."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

from litestream import _settings
from litestream._config import file
from litestream._config.entries import named

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_MANY = 50
"""Entries from which on the whole config is not read for one database."""


class Alone:
    """Cuts single databases out of a config, as they are written there."""

    def __init__(
        self, content: Mapping[str, Any], text: str, series: str, *, literal: bool
    ) -> None:
        self._content = content
        self._text = text
        self._series = series
        self._literal = literal

    def text(self, path: str) -> str:
        """Return the text of a config with one database alone; nothing where the whole one is due.

        Every key outside ``dbs:`` stays, and so do references to variables. The new text is read
        once here: it must say of the database what the old one says.

        Raises:
            ConfigurationError: The text cannot be cut.

        """
        entries = self._content.get("dbs") or []
        if len(entries) >= _MANY and path in self._places:
            at = self._places[path]
            text = self._cut(at)
            if self._read(text) == {**self._content, "dbs": [entries[at]]}:
                return text
        return ""

    def _read(self, text: str) -> Mapping[str, Any]:
        return file.parse(text if self._literal else file.expand(text), "")

    @cached_property
    def _places(self) -> dict[str, int]:
        """Return the place of each database that has one entry."""
        paths = [path for path, _ in named(self._content, self._series)]
        times = Counter(paths)
        return {path: at for at, path in enumerate(paths) if times[path] == 1}

    def _cut(self, at: int) -> str:
        text, spans = self._text, self._spans
        if at >= len(spans):
            return ""
        first, last, (start, end) = spans[0][0], spans[-1][1], spans[at]
        return _settings.Text(f"{text[:first]}{text[start:end].rstrip()}\n{text[last:]}")

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        """Return where each entry of ``dbs:`` stands in the text."""
        import yaml

        try:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            root = yaml.compose(str(self._text), loader)
        except (yaml.YAMLError, UnicodeEncodeError, RecursionError):
            return []  # no YAML before its variables are replaced
        keys = root.value if isinstance(root, yaml.MappingNode) else ()
        for key, value in keys:
            if key.value == "dbs" and isinstance(value, yaml.SequenceNode):
                return [(one.start_mark.index, one.end_mark.index) for one in value.value]
        return []
