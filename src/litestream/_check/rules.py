"""The meaning of a config, database by database, and its faults."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from litestream._check import references, replicas
from litestream._check.report import values
from litestream._check.values import is_true
from litestream._config.keys import BY_PLACE
from litestream._config.paths import stray
from litestream._config.places import place as place_of
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestream._check.nodes import Node
    from litestream._check.report import Report

_NOT_SHARED = ("type", "name", "path", "url")  # keys of a replica that have no default at the top
_NOT_NEGATIVE = {
    "l0-retention": "l0 retention must not be negative",
    "shutdown-sync-timeout": "shutdown-sync-timeout must be >= 0",
}


class Database:
    """A database of a config, as it is written there: its values and its replicas' values."""

    def __init__(self, node: Node, found: dict[str, Node]) -> None:
        self.node, self.values = node, found
        self.path = replicas.text(found, "path")
        self.replicas: list[tuple[Node, dict[str, Node]]] = []

    def paths(self) -> list[str]:
        """Return the files that the entry names: one, or those in its directory now."""
        if self.path:
            return [replicas.absolute(re.sub("^sqlite3?://", "", self.path))]
        from litestream._config.directories import Directory  # only the probe asks for it

        found: dict[str, object] = dict(replicas.plain(self.values))
        if not found.get("dir"):
            return []
        with suppress(ConfigurationError):  # what is wrong with the entry is reported elsewhere
            entry = Directory.of({**found, "recursive": is_true(str(found.get("recursive")))})
            return entry.listed()
        return []


def check(report: Report, root: Node) -> list[Database]:
    """Report the faults of a config's root, and return its databases."""
    top = values(report, root, "")
    own: dict[str, dict[str, Node]] = {}
    for name in ("snapshot", "retention", "validation", "socket", "logging", "age"):
        if name in top:
            own[name] = values(report, top[name], name)
    for level in _entries(report, top.get("levels")):
        replicas.above(report, values(report, level, "levels[]"), "interval")
    _top_level(report, top, own)
    databases = [_database(report, node, top) for node in _entries(report, top.get("dbs"))]
    if not databases and not (top.get("dbs") and top["dbs"].items):
        names = {key.text for key, _ in root.pairs}
        if "dbs" not in names or "dbs" in top:
            hint = "Add one to 'dbs:'; litestream init writes a config"
            report.add("no-database", root, "no databases specified in configuration", hint)
    _compare(report, databases)
    references.check(report, root)
    return databases


def _entries(report: Report, node: Node | None) -> Iterator[Node]:
    for entry in node.items if node else []:
        if entry.is_null:
            report.add("empty-entry", entry, "this entry is empty", "Fill it in or remove the '-'")
        elif entry.kind != "mapping":
            hint = "Write keys and values here, as in 'path: …'"
            report.add("wrong-type", entry, "this entry is not a mapping", hint)
        else:
            yield entry


def _top_level(report: Report, top: dict[str, Node], own: dict[str, dict[str, Node]]) -> None:
    if report.series == "0.5":
        for name in ("l0-retention-check-interval", "shutdown-sync-interval"):
            replicas.above(report, top, name)
        for name, words in _NOT_NEGATIVE.items():
            if (replicas.seconds(top, name) or 0) < 0:
                report.add("bad-value", top[name], f"{name}: {words}", "Write a longer duration")
        for name in ("interval", "retention"):
            replicas.above(report, own.get("snapshot", {}), name, "snapshot.")
        if (url := replicas.text(top, "heartbeat-url")) and not re.match("https?://", url):
            words = "heartbeat-url: heartbeat URL must be a valid HTTP or HTTPS URL"
            report.add("bad-value", top["heartbeat-url"], words, "Begin it with https://")
        every = replicas.seconds(top, "heartbeat-interval")
        if every is not None and every < 60:
            words = "heartbeat-interval: heartbeat interval must be at least 1 minute"
            report.add("bad-value", top["heartbeat-interval"], words, "Write 1m or more")
    logging = own.get("logging", {})
    kinds = ("text", "json", "pretty") if report.series == "0.5" else ("text", "json")
    if (kind := replicas.text(logging, "type")) and kind not in kinds:
        hint = f"Write one of: {', '.join(kinds)}"
        report.add(
            "bad-value", logging["type"], "there is no such type of log: Litestream crashes", hint
        )
    for name in ("addr", "mcp-addr"):
        if (address := replicas.text(top, name)) and not _is_local(address):
            hint = "Write '127.0.0.1:' before the port, or protect it by a firewall and ignore this"
            what = "the metrics and a profiler are" if name == "addr" else "the MCP server is"
            report.add("open-address", top[name], f"{what} open to other hosts", hint)
    mode = own.get("socket", {}).get("permissions")
    if mode and re.fullmatch("0o?[0-7]+", mode.text) and int(mode.text.replace("o", ""), 8) & 0o077:
        message = "other users of this machine may command the daemon by its socket"
        report.add("open-address", mode, message, "Write 0600")
    if (path := own.get("socket", {}).get("path")) is not None:
        replicas.relative(report, path)


def _is_local(address: str) -> bool:
    import ipaddress

    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _database(report: Report, node: Node, top: dict[str, Node]) -> Database:
    found = values(report, node, "dbs[]")
    database = Database(node, found)
    is_new = report.series == "0.5"
    has_dir = bool(replicas.text(found, "dir"))
    given = {key.text for key, _ in node.pairs}
    wrong = {"path", "dir"} & given and not {"path", "dir"} & found.keys()  # reported already
    if not database.path and not has_dir and not wrong:
        report.add("no-path", node, "must specify 'path' of the database", "Add 'path:'")
    if database.path and has_dir:
        replicas.exclude(report, found["dir"], "cannot specify both 'path' and 'dir'")
    if has_dir and not replicas.text(found, "pattern"):
        message = "'pattern' is required when using 'dir'"
        report.add("missing-key", node, message, "Add a pattern, such as '*.db'")
    if not has_dir:
        for name in ("watch", "meta-dir"):
            wanted = name in found and (name != "watch" or is_true(found[name].text))
            if wanted:
                can = "can only be enabled" if name == "watch" else "can only be used"
                replicas.exclude(report, found[name], f"'{name}' {can} with a directory")
    if replicas.text(found, "meta-path") and "meta-dir" in found:
        replicas.exclude(
            report, found["meta-dir"], "cannot specify both 'meta-path' and 'meta-dir'"
        )
    if "snapshot" in found:
        snapshot = values(report, found["snapshot"], "snapshot")
        for name in ("interval", "retention"):
            replicas.above(report, snapshot, name, "snapshot.")
    for name in ("path", "dir", "meta-path", "meta-dir"):
        if replicas.text(found, name):
            replicas.relative(report, found[name], scheme=is_new and name == "path")
    if letters := stray(database.path, report.series):
        hint = "Rename the database or its directory"
        message = (
            f"Litestream takes {' and '.join(letters)} for part of a URI and opens another file"
        )
        report.add("stray-path", found["path"], message, hint)
    if not is_new and re.match("sqlite3?://", database.path):
        message = "0.3 reads the scheme as a part of the path"
        report.add("stray-path", found["path"], message, "Write the path alone")
    _replicas(report, database, top, given)
    return database


def _replicas(report: Report, database: Database, top: dict[str, Node], given: set[str]) -> None:
    found = database.values
    listed = list(_entries(report, found.get("replicas")))
    single = found.get("replica")
    if single is not None and listed:
        replicas.exclude(report, single, "cannot specify 'replica' and 'replicas' on a database")
    elif len(listed) > 1 and report.series == "0.5":
        message = "multiple replicas on a single database are no longer supported"
        hint = "Keep one, or install the other series: pip install 'litestream==0.3.*'"
        report.add("many-replicas", listed[1], message, hint)
    nodes = [single] if single is not None and not listed else listed
    wrong = {"replica", "replicas"} & given - found.keys()
    if report.series == "0.3":
        wrong.discard("replica")
    if not nodes and not found.get("replicas") and not wrong:  # reported already
        message = "must specify replica for database: it is copied nowhere"
        hint = "Add 'replicas:' with an entry; litestream init writes one"
        report.add("no-replica", database.node, message, hint)
    shared = BY_PLACE["replica"].keys() - set(_NOT_SHARED)
    if report.series == "0.3":
        shared = {"access-key-id", "secret-access-key"}
    defaults = {name: node for name, node in top.items() if name in shared}
    for node in nodes:
        own = values(report, node, "replica")
        database.replicas.append((node, {**defaults, **own}))
        replicas.check(report, node, own, {**defaults, **own})


def _compare(report: Report, databases: list[Database]) -> None:
    paths: dict[str, Database] = {}
    metas: dict[str, Database] = {}
    places: dict[tuple[str, ...], Database] = {}
    for database in databases:
        if not database.path:
            continue
        found = database.values
        path = replicas.absolute(re.sub("^sqlite3?://", "", database.path))
        first = paths.setdefault(path, database)
        if first is not database:
            message = f"duplicate path: the database of line {report.line(first.node)}"
            hint = "Merge the entries: each database can be listed once only"
            report.add("duplicate-database", found["path"], message, hint)
            continue
        directory, name = os.path.split(path)
        meta = replicas.text(found, "meta-path")
        meta = replicas.absolute(meta) if meta else os.path.join(directory, f".{name}-litestream")
        if (first := metas.setdefault(meta, database)) is not database:
            message = f"the same local state as the database of line {report.line(first.node)}"
            report.add(
                "shared-meta",
                found["meta-path"],
                message,
                "Give each database a 'meta-path:' of its own",
            )
        for node, replica in database.replicas:
            place = place_of(replicas.plain(replica), {}, report.series)
            first = places.setdefault(place, database)
            if first is not database and any(place[1:-1] or place[1:]):
                message = f"the same replica as the database of line {report.line(first.node)}"
                hint = "Give each a path of its own: each writes over the other's backups"
                report.add("shared-replica", node, message, hint)
            above = os.path.realpath(directory).rstrip("/") + "/"
            if place[0] == "file" and f"{place[1]}/".startswith(above):
                message = "the replica is in the directory of the database, and is lost with it"
                hint = "Put it on another disk, or better on another machine"
                report.add("replica-in-tree", replica.get("path", node), message, hint)
