"""The findings on a config: their ids, their places, and the keys that were meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from litestream import _settings
from litestream._check import nodes
from litestream._check.values import problem as values_problem
from litestream._config.keys import BY_PLACE, PLACES

if TYPE_CHECKING:
    from litestream._check.nodes import Node, Text
    from litestream._config.keys import Key
    from litestream.rows import FindingRow

IDS = {
    "unreadable": "The file cannot be read, is not a file, is too big, or is not in UTF-8.",
    "not-yaml": "The text is not YAML.",
    "second-document": "A second YAML document begins, which Litestream does not read.",
    "unknown-key": "No series knows the key; Litestream says nothing and ignores it.",
    "misplaced-key": "The key belongs to another place; here Litestream ignores it.",
    "other-series": "The key belongs to the other series; this one ignores it.",
    "duplicate-key": "The key is given twice; the first value is ignored.",
    "wrong-type": "The value is not of the key's type.",
    "wrong-unit": "The value has no unit, or one that Litestream does not know.",
    "empty-entry": "An entry of a list is empty; Litestream crashes there.",
    "no-database": "The config names no database.",
    "no-path": "A database has no path.",
    "no-replica": "A database has no replica that this series reads: it is copied nowhere.",
    "many-replicas": "A database has two replicas, and 0.5 takes one.",
    "no-type": "A replica has no type: Litestream takes it for a directory.",
    "unknown-type": "This series knows no replica of that type.",
    "missing-key": "A replica lacks what its type needs.",
    "contradictory": "Two keys exclude each other.",
    "bad-value": "The value is not one that Litestream takes.",
    "age-encryption": "0.5 does not encrypt.",
    "duplicate-database": "The same database is listed twice.",
    "shared-replica": "Two databases have one replica: each writes over the other's backups.",
    "shared-meta": "Two databases have one directory for Litestream's local state.",
    "replica-in-tree": "The replica is a directory beside or below the database: lost with it.",
    "relative-path": "A relative path means another file from another working directory.",
    "stray-path": "The path holds a character for which Litestream opens another file.",
    "dollar-in-path": "A '$' in a path is replaced, although it seems to be a part of the name.",
    "unset-variable": "The config refers to a variable that is not set.",
    "secret-in-file": "A secret stands in the file.",
    "open-address": "The metrics, or the control socket, can be reached by others.",
    "no-host-key": "Any server can pass for the SFTP server.",
    "costly-interval": "The interval makes requests that cost money.",
}
"""The ids of the findings, and their meanings."""

ONLINE = {
    "no-executable": "There is no executable, or it cannot be run.",
    "few-files": "The process may not open as many files as a start needs: 8 per database.",
    "no-file": "The database does not exist (yet).",
    "no-sqlite": "The file is not a SQLite database, or cannot be read.",
    "not-wal": "The database is not in WAL mode; Litestream switches to it permanently.",
    "network-file-system": "The database is on a network file system, where WAL mode is not safe.",
    "not-writable": "The database's directory cannot be written to.",
    "no-room": "There is no room for a restore beside the database.",
    "other-daemon": "A daemon that this library did not start replicates the database.",
    "replica-name": "The endpoint's name does not resolve.",
    "replica-refused": "The endpoint refuses the connection.",
    "replica-slow": "The replica does not answer in time.",
    "replica-tls": "No TLS connection is made.",
    "replica-failed": "The replica cannot be used, for another reason.",
    "wrong-key": "The credentials are wrong.",
    "wrong-bucket": "There is no such bucket.",
    "wrong-region": "The bucket is in another region.",
    "no-permission": "The credentials lack a permission.",
    "clock-skew": "This machine's clock is more than 5 minutes off.",
    "old-backup": "The newest backup is older than the database's last change by an hour or more.",
    "old-proof": "The backup was last proved more than two days ago, or the last proof failed.",
}
"""The ids of the findings of ``--online``."""

_WARNINGS = {
    *("other-series", "replica-in-tree", "relative-path", "unset-variable", "secret-in-file"),
    *("open-address", "no-host-key", "costly-interval", "dollar-in-path"),
}
_KINDS = {"texts": "list", "mappings": "list", "mapping": "mapping"}
_FATAL_IN_03 = {
    "replica": "0.3 reads 'replicas:' alone: write it as a list of one",
    "dir": "0.3 takes the working directory for the database: list each database by its 'path:'",
}
_INSTEAD = {
    "retention": "On 0.5 it is 'snapshot: {retention: …}' at the top level",
    "snapshot-interval": "On 0.5 it is 'snapshot: {interval: …}' at the top level",
    "retention-check-interval": "0.5 has no such key: remove it",
    "max-checkpoint-page-count": "On 0.5 it is 'truncate-page-n:'",
    "snapshot": "On 0.3 it is 'retention:' and 'snapshot-interval:' in the replica",
}
_SHOWN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")


class Report:
    """Findings of one config, in the order in which they were made."""

    def __init__(self, path: str, text: Text | None, series: str, *, is_known: bool = True) -> None:
        self.path, self.series, self._text = path, series, text
        self.is_known = is_known
        """Whether the tables are of this very release: otherwise they may lack a key."""
        self.rows: list[FindingRow] = []
        self.root: Node | None = None

    @property
    def text(self) -> Text:
        """The text of the config."""
        assert self._text is not None
        return self._text

    def add(
        self, ident: str, at: Node | int, message: str, hint: str, *, level: str | None = None
    ) -> None:
        """Add a finding at a node, or at a place of the expanded text."""
        shown = _settings.called(self.path)
        if ident == "secret-in-file" and shown != self.path:
            return  # the file is private, and ours
        offset = at if isinstance(at, int) else at.start
        line, column = self._text.place(offset) if self._text else (1, 1)
        self.rows.append(
            {
                "path": shown,
                "line": line,
                "column": column,
                "id": ident,
                "level": "error" if (level or _level(ident)) == "error" else "warning",
                "message": message,
                "hint": hint,
            }
        )

    def sorted(self) -> list[FindingRow]:
        """Return the findings in the order of the file."""
        return sorted(self.rows, key=lambda row: (row["line"], row["column"]))

    def line(self, node: Node) -> int:
        """Return the line of a node."""
        return self.text.place(node.start)[0]


def _level(ident: str) -> str:
    return "warning" if ident in _WARNINGS else "error"


def line(row: FindingRow) -> str:
    """Return a finding as one line, ``path:line:col: message [id]``; a setting has no lines."""
    kind = "" if row["level"] == "error" else "warning: "
    is_setting = row["path"] in _settings.settings_called()
    at = "" if is_setting else f":{row['line']}:{row['column']}"
    return f"{row['path']}{at}: {kind}{row['message']} [{row['id']}]"


def values(report: Report, mapping: Node, place: str) -> dict[str, Node]:
    """Return the values of a mapping that Litestream can decode, by key; report the others."""
    found: dict[str, Node] = {}
    lines: dict[str, int] = {}
    known = BY_PLACE[place]
    for name_node, value in nodes.merged(mapping):
        name = name_node.text
        if name_node.kind != "scalar":
            report.add("unknown-key", name_node, "the key is not one word", "Write one word here")
            continue
        if name in lines:
            hint = "Remove one of them: Litestream uses the last"
            message = f"'{name}' is given in line {lines[name]} already"
            if name in known:
                report.add("duplicate-key", name_node, message, hint)
        lines[name] = report.line(name_node)
        key = known.get(name)
        if key is None or report.series not in key.series:
            _explain(report, name_node, value, place, key)
            continue
        wrong = values_problem(key.kind, value)
        if wrong:
            ident, message, hint = wrong
            report.add(ident, _at(name_node, value), f"'{name}' {message}", hint)
            found.pop(name, None)
        elif value.is_null and key.kind != "text":
            found.pop(name, None)
        else:
            found[name] = value
    return found


def _at(name: Node, value: Node) -> Node:
    return value if value.end > value.start else name


def _explain(report: Report, node: Node, value: Node, place: str, key: Key | None) -> None:
    """Report a key that Litestream ignores at this place."""
    name, series = node.text, report.series
    if name.startswith(("x-", ".")):  # by convention, a place for anchors
        return
    if key is not None:
        other = key.series[0]
        hint = _INSTEAD.get(name, f"Remove it, or install Litestream {other}")
        level = None
        if series == "0.3" and name in _FATAL_IN_03:
            hint, level = _FATAL_IN_03[name], "error"
        report.add(
            "other-series",
            node,
            f"'{name}' is a key of {other} only; Litestream {series} ignores it",
            hint,
            level=level,
        )
        return
    here = [p for p in PLACES if name in BY_PLACE[p] and series in BY_PLACE[p][name].series]
    if here:
        where = " or ".join(PLACES[p] for p in here)
        message = f"'{name}' belongs to {where}; in {PLACES[place]} Litestream ignores it"
        report.add("misplaced-key", node, message, f"Move it to {where}")
        return
    elsewhere = [(p, BY_PLACE[p][name]) for p in PLACES if name in BY_PLACE[p]]
    if elsewhere:
        other, where = elsewhere[0][1].series[0], PLACES[elsewhere[0][0]]
        message = f"'{name}' is a key of {other} only, in {where}; Litestream {series} ignores it"
        report.add("other-series", node, message, _INSTEAD.get(name, "Remove it"))
        return
    shown = f"'{name}'" if _SHOWN.fullmatch(name) else "this"
    report.add(
        "unknown-key",
        node,
        f"{shown} is not a key of Litestream, which ignores it",
        _guess(name, value, place, series),
        level="error" if report.is_known else "warning",
    )


def _guess(name: str, value: Node, place: str, series: str) -> str:
    import difflib

    word = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower().replace("_", "-").replace(" ", "-")
    near = [key.name for key in BY_PLACE[place].values() if series in key.series]
    fitting = [one for one in near if _KINDS.get(BY_PLACE[place][one].kind, "scalar") == value.kind]
    for candidates in (fitting, near):
        if close := difflib.get_close_matches(word, candidates, 1, 0.7):
            return f"Did you mean '{close[0]}'?"
    for other, keys in BY_PLACE.items():
        candidates = [key.name for key in keys.values() if series in key.series]
        if close := difflib.get_close_matches(word, candidates, 1, 0.8):
            return f"Did you mean '{close[0]}'? It belongs to {PLACES[other]}"
    return f"Remove it; the keys of {PLACES[place]} are: {', '.join(sorted(near)[:40])}"
