"""A config's text as a tree; every node knows its place in the file.

Nothing here trusts the file: the bytes read and the nodes built are limited, and no step recurses
into the levels of the file.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from bisect import bisect_right
from typing import NamedTuple

import yaml

from litestream import _settings
from litestream._config.file import yaml_problem

LIMIT = 4_000_000
"""Bytes that a config may have; 10,000 databases take some 2 MB."""
_DEPTH, _NODES, _REFERENCES = 40, 400_000, 50_000

REFERENCE = re.compile(
    r"\$(?:\{(?P<braced>[^}]*)\}|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|[*#$@!?\-0-9])"
)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Unreadable(Exception):  # noqa: N818 - no error of the library's: it becomes a finding
    """There is no tree: the reason, and its place in the text."""

    def __init__(self, ident: str, message: str, hint: str, at: int = 0) -> None:
        super().__init__(ident, message, hint, at)
        self.ident, self.message, self.hint, self.at = ident, message, hint, at


class Reference(NamedTuple):
    """A ``$NAME`` of the file; its place before and after the replacement."""

    name: str
    """Empty for ``$$`` and the like, which go away."""
    text: str
    value: str | None
    at: int
    start: int
    end: int


class Node:
    """A scalar (its text), a list (of nodes) or a mapping (of pairs of nodes)."""

    __slots__ = ("end", "items", "kind", "pairs", "plain", "start", "text")

    def __init__(
        self, kind: str, start: int, end: int, text: str = "", *, plain: bool = False
    ) -> None:
        self.kind, self.start, self.end, self.text, self.plain = kind, start, end, text, plain
        self.items: list[Node] = []
        self.pairs: list[tuple[Node, Node]] = []

    @property
    def is_null(self) -> bool:
        """Tell whether the node is YAML's null, which Litestream treats as not given."""
        return (
            self.kind == "scalar" and self.plain and self.text in ("", "~", "null", "Null", "NULL")
        )


class Text:
    """A config's text, expanded as Litestream does; it tells lines and columns of the file."""

    def __init__(self, source: str, *, literal: bool = False) -> None:
        self.source = source
        self.references: list[Reference] = []
        known = _settings.environment()
        parts, length, at = [], 0, 0
        for match in [] if literal else REFERENCE.finditer(source):
            name = match["braced"] or match["name"] or ""
            value = known.get(name)
            parts += [source[at : match.start()], value or ""]
            start = length + match.start() - at
            length = start + len(value or "")
            at = match.end()
            self.references.append(Reference(name, match[0], value, match.start(), start, length))
        self.expanded = "".join([*parts, source[at:]])
        self._starts = [reference.start for reference in self.references]
        self._lines = [0, *(match.end() for match in re.finditer(r"\r\n?|\n", source))]

    def place(self, at: int) -> tuple[int, int]:
        """Return the line and the column, from 1, of a place in the expanded text."""
        before = bisect_right(self._starts, at) - 1
        if before >= 0:
            reference = self.references[before]
            inside = at < reference.end or at == reference.start
            source = reference.at + len(reference.text)
            at = reference.at if inside else source + at - reference.end
        line = bisect_right(self._lines, at) - 1
        return line + 1, at - self._lines[line] + 1

    def within(self, start: int, end: int) -> list[Reference]:
        """Return the references that were replaced between two places of the expanded text."""
        first = bisect_right(self._starts, start - 1)
        found = []
        for reference in self.references[first:]:
            if reference.start > end:
                break
            found.append(reference)
        return found


def read(path: str) -> str:
    """Return a config's text.

    Raises:
        Unreadable: The path is no file, or the file is too big, or not in UTF-8.

    """
    try:
        file = os.open(
            path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )  # opening a FIFO would wait
    except OSError as error:
        hint = "Let the user that runs Litestream read it"
        if error.errno == errno.ENXIO:
            error.strerror = "it is a socket"
        raise Unreadable("unreadable", f"it cannot be read: {error.strerror}", hint) from None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
            raise Unreadable(
                "unreadable", f"it cannot be read: it is {kind}", "Name the config's file"
            )
        if status.st_size > LIMIT:
            size = f"{status.st_size / 1e6:,.0f} MB"
            hint = (
                f"Name another file: {LIMIT / 1e6:.0f} MB are allowed, and 10,000 databases need 2"
            )
            raise Unreadable("unreadable", f"it has {size}, and is not a config", hint)
        found = os.read(file, LIMIT)
    finally:
        os.close(file)
    if found.count(b"$") > _REFERENCES:
        hint = "Remove some: no variable is needed so often"
        raise Unreadable("unreadable", f"it holds more than {_REFERENCES:,} '$'", hint)
    if found.startswith(b"SQLite format 3\0"):
        hint = (
            "Name a litestream.yml; in Python also a mapping of the database's path to its replica"
        )
        raise Unreadable("unreadable", "it is a SQLite database, not a config", hint)
    if found.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in found[:4]:
        raise Unreadable("unreadable", "it is in UTF-16 or UTF-32", "Save it as UTF-8")
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = found[: error.start].decode()
        raise Unreadable(
            "unreadable", "it is not in UTF-8", "Save it as UTF-8", len(text)
        ) from None


def build(text: str) -> Node | None:
    """Return the tree of a text's first document, or None if it has none.

    Raises:
        Unreadable: The text is not YAML, or YAML that expands without limit.

    """
    try:
        return _build(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = yaml_problem(error.problem or "")
        hint = "Correct this line or the one before it"
        at = mark.index if mark else 0
        if text[at : at + 1] == "\t":
            hint = "Replace the tab by spaces: YAML allows no tab there"
        raise Unreadable("not-yaml", f"this is not YAML: {problem}", hint, at) from None
    except yaml.YAMLError as error:
        at = getattr(error, "position", 0) or 0
        hint = "Remove the control character"
        raise Unreadable(
            "not-yaml",
            "this is not YAML: it contains a character that YAML does not allow",
            hint,
            at,
        ) from None


def _build(text: str) -> Node | None:
    stack: list[Node] = []
    waiting: list[Node | None] = []  # the key, in each open mapping, whose value comes next
    anchors: dict[str, Node] = {}
    root: Node | None = None
    documents = nodes = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise Unreadable(
                    "second-document",
                    "a second document begins here, which Litestream does not read",
                    "Remove the '---', or what follows it",
                    _at(event),
                )
        if isinstance(event, yaml.CollectionEndEvent):
            waiting.pop()
            stack.pop().end = _at(event, end=True)
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        nodes += 1
        at = _at(event)
        if nodes > _NODES or len(stack) > _DEPTH:
            what = (
                "nested more than 40 deep"
                if len(stack) > _DEPTH
                else f"made of more than {_NODES:,} parts"
            )
            hint = "Shorten the file"
            raise Unreadable("not-yaml", f"this is {what}, and not a config", hint, at)
        node = _node(event, anchors)
        if isinstance(event, yaml.AliasEvent) and node in stack:
            hint = "Write the values out"
            raise Unreadable("not-yaml", "this alias refers to a value that contains it", hint, at)
        if not stack:
            root = node
        elif stack[-1].kind == "list":
            stack[-1].items.append(node)
        elif waiting[-1] is None:
            waiting[-1] = node
        else:
            stack[-1].pairs.append((waiting[-1], node))
            waiting[-1] = None
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append(node)
            waiting.append(None)
    return root


def _at(event: yaml.Event, *, end: bool = False) -> int:
    mark = event.end_mark if end else event.start_mark
    return mark.index if mark else 0


def _node(event: yaml.NodeEvent, anchors: dict[str, Node]) -> Node:
    start, end = _at(event), _at(event, end=True)
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            hint = "Define the anchor before its use, as in key: &name value"
            raise Unreadable("not-yaml", "this alias refers to an unknown anchor", hint, start)
        return anchors[event.anchor]
    if isinstance(event, yaml.ScalarEvent):
        plain = event.implicit[0] and event.tag is None
        node = Node("scalar", start, end, event.value, plain=plain)
    else:
        kind = "list" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
        node = Node(kind, start, end)
    if event.anchor:
        anchors[event.anchor] = node
    return node


def merged(mapping: Node) -> list[tuple[Node, Node]]:
    """Return a mapping's pairs, its own first, then those of ``<<``."""
    own = [pair for pair in mapping.pairs if pair[0].text != "<<" or not pair[0].plain]
    names = {key.text for key, _ in own}
    sources = [value for key, value in mapping.pairs if key.text == "<<" and key.plain]
    seen = {id(mapping)}
    while sources:
        source = sources.pop(0)
        if id(source) in seen:
            continue
        seen.add(id(source))
        sources += source.items
        for key, value in source.pairs:
            if key.text == "<<" and key.plain:
                sources.append(value)
            elif key.text not in names:
                names.add(key.text)
                own.append((key, value))
    return own
