"""The config as the daemon sees it: every value, defaults included, and its origin."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from litestream import _settings
from litestream._check import check
from litestream._check.nodes import merged
from litestream._check.replicas import absolute
from litestream._check.report import values
from litestream._config.keys import BY_PLACE

if TYPE_CHECKING:
    from litestream._check.nodes import Node
    from litestream._check.report import Report

_MASK = "***"
_DEFAULTS = {
    "dbs[]": {
        "monitor-interval": "1s",
        "checkpoint-interval": "1m",
        "min-checkpoint-page-count": "1000",
    },
    "replica": {"type": "file", "sync-interval": "1s"},
}
_DEFAULTS_03 = {
    "dbs[]": {**_DEFAULTS["dbs[]"], "max-checkpoint-page-count": "10000"},
    "replica": {**_DEFAULTS["replica"], "retention": "24h", "retention-check-interval": "1h"},
}
_DEFAULTS_05 = {
    **_DEFAULTS,
    "dbs[]": {**_DEFAULTS["dbs[]"], "busy-timeout": "1s", "truncate-page-n": "121359"},
    "snapshot": {"interval": "24h", "retention": "24h"},
    "": {
        "l0-retention": "5m",
        "l0-retention-check-interval": "15s",
        "shutdown-sync-timeout": "30s",
    },
}


def show(path: str, version: str) -> str:
    """Return the effective config as YAML, secrets masked, each line with its origin."""
    report, databases = check.load(path, version)
    shown = _Shown(report)
    shown.add(f"# {_settings.called(path)}, as Litestream {version} sees it")
    root = report.root
    top = values(report, root, "") if root else {}
    shared = BY_PLACE["replica"].keys() & top.keys()
    top = {name: node for name, node in top.items() if name not in shared}
    for name in ("snapshot", "logging", "retention", "validation", "levels"):
        if name in top or name in shown.defaults:
            shown.nested(name, top.get(name))
    for name in BY_PLACE[""]:
        if BY_PLACE[""][name].kind not in ("mapping", "mappings"):
            shown.value("", name, top.get(name), 0)
    if report.series == "0.5":
        if "socket" in top:
            shown.nested("socket", top["socket"])
        else:
            shown.add("socket:", "added by litestream run and Replication alone")
            shown.add("  enabled: true")
            shown.add("  path: …", "in a private directory, another one for each daemon")
    shown.add("dbs:")
    for database in databases:
        shown.database(database.values, database.replicas)
    return shown.text()


class _Shown:
    def __init__(self, report: Report) -> None:
        self._report = report
        self.defaults = _DEFAULTS_03 if report.series == "0.3" else _DEFAULTS_05
        self._lines: list[tuple[str, str]] = []

    def add(self, line: str, origin: str = "") -> None:
        """Add a line."""
        self._lines.append((line, origin))

    def text(self) -> str:
        """Return the lines, their origins in a column."""
        width = min(max((len(line) for line, origin in self._lines if origin), default=0), 60)
        return "".join(
            f"{line:<{width}}  # {origin}\n" if origin else f"{line}\n"
            for line, origin in self._lines
        )

    def nested(self, name: str, node: Node | None) -> None:
        """Add a mapping of the top level, or the list of the levels."""
        self.add(f"{name}:", "" if node else "default")
        if node is not None and node.kind == "list":
            for item in node.items:
                found = values(self._report, item, f"{name}[]")
                self._pairs(f"{name}[]", found, 2, first="- ")
            return
        self._pairs(name, values(self._report, node, name) if node else {}, 2)

    def database(
        self, found: dict[str, Node], replicas: list[tuple[Node, dict[str, Node]]]
    ) -> None:
        """Add a database and its replicas."""
        self._pairs("dbs[]", found, 2, first="- ")
        if self._path(found, "path") and not self._path(found, "meta-path"):
            folder, name = os.path.split(absolute(self._path(found, "path")))
            self.add(
                f"    meta-path: {_word(os.path.join(folder, f'.{name}-litestream'))}", "default"
            )
        if "snapshot" in found:
            self.add("    snapshot:")
            self._pairs("snapshot", values(self._report, found["snapshot"], "snapshot"), 6)
        self.add("    replicas:")
        for node, replica in replicas:
            own = {id(value) for _, value in merged(node)}
            without = ("type",) if self._path(replica, "url") else ()
            self._pairs("replica", replica, 6, first="- ", own=own, without=without)

    @staticmethod
    def _path(found: dict[str, Node], name: str) -> str:
        return found[name].text if name in found else ""

    def _pairs(
        self,
        place: str,
        found: dict[str, Node],
        indent: int,
        *,
        first: str = "",
        own: set[int] | None = None,
        without: tuple[str, ...] = (),
    ) -> None:
        mark = first
        for name in BY_PLACE[place]:
            if name in without:
                continue
            before = len(self._lines)
            node = found.get(name)
            inherited = own is not None and node is not None and id(node) not in own
            self.value(place, name, node, indent, mark=mark, inherited=inherited)
            if len(self._lines) > before and mark:
                mark = "  "

    def value(
        self,
        place: str,
        name: str,
        node: Node | None,
        indent: int,
        *,
        mark: str = "",
        inherited: bool = False,
    ) -> None:
        """Add a value, or its default, unless it is a mapping."""
        key, pad = BY_PLACE[place][name], " " * indent + mark
        if key.kind in ("mapping", "mappings") or self._report.series not in key.series:
            return
        if node is None:
            default = self.defaults.get(place, {}).get(name)
            if default:
                self.add(f"{pad}{name}: {default}", "default")
            return
        if key.kind == "texts":
            shown = json.dumps([_masked(key.kind, item.text) for item in node.items])
        elif (place, name) in (("dbs[]", "path"), ("dbs[]", "meta-path")) and node.text:
            shown = _word(absolute(re.sub("^sqlite3?://", "", node.text)))
        else:
            shown = _word(_masked(key.kind, node.text))
        references = self._report.text.within(node.start, node.end)
        origin = f"line {self._report.line(node)}"
        if inherited:
            origin += ", of the top level"
        names = [f"${r.name}" + ("" if r.value is not None else " (not set)") for r in references]
        self.add(f"{pad}{name}: {shown}", ", ".join([origin, *names]))


def _masked(kind: str, text: str) -> str:
    return _MASK if kind == "secret" and text else _settings.masked(text)


def _word(text: str) -> str:
    if re.fullmatch(r"-?[A-Za-z0-9/][A-Za-z0-9/._@+:-]*", text) and not text.endswith(":"):
        return text
    return json.dumps(text, ensure_ascii=False)
