"""The meaning of a replica in a config, and its faults; how a node's value is read."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from litestream._check.references import line_end
from litestream._check.report import values
from litestream._check.values import seconds as values_seconds
from litestream._config import places
from litestream._config.keys import TYPES
from litestream._config.paths import with_home

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from litestream._check.nodes import Node
    from litestream._check.report import Report

_PUT = 0.005 / 1000  # S3's price of a PUT in us-east-1, in dollars
_MONTH = 30 * 86400
_POSITIVE = {  # 0.5's own words, in front of the value
    "snapshot.interval": "snapshot interval must be greater than 0",
    "snapshot.retention": "snapshot retention must be greater than 0",
    "l0-retention-check-interval": "l0 retention check interval must be greater than 0",
    "shutdown-sync-interval": "shutdown sync interval must be greater than 0",
    "interval": "compaction interval must be greater than 0",
    "sync-interval": "sync interval must be greater than 0",
}
_BUCKETS = ("s3", "gs", "gcs", "abs", "oss")
_EXCLUDED = {"sftp": "host", "webdav": "webdav-url", "file": "", "nats": None}


def check(report: Report, node: Node, own: dict[str, Node], found: dict[str, Node]) -> None:
    """Report the faults of a replica; ``own`` are its keys, ``found`` also the inherited ones."""
    url = text(found, "url")
    kind = kind_of(found)
    if kind not in TYPES[report.series]:
        hint = f"Litestream {report.series} has: {', '.join(TYPES[report.series])}"
        if kind in ("gs", "gcs"):
            hint = "Google Cloud is 'gs' on 0.5 and 'gcs' on 0.3"
        at = own.get("url") or own.get("type") or node
        report.add("unknown-type", at, "unknown replica type in config", hint)
        return
    if url and not _split(url):
        hint = "Write type://host/path; brackets enclose an IPv6 address only"
        report.add("bad-value", found["url"], "the host of the URL cannot be read", hint)
        return
    declared = text(own, "type")
    if declared and url and declared not in (kind, url.partition(":")[0]):
        exclude(
            report, own["type"], "'type:' differs from the type of the URL, which Litestream uses"
        )
    remote = [n for n in ("bucket", "endpoint", "host", "region", "account-name") if n in own]
    if not declared and not url and remote:
        message = f"'{remote[0]}' without a type: Litestream reads the replica as a directory"
        report.add("no-type", own[remote[0]], message, "Add the type, such as 'type: s3'")
        return
    if re.match(r"\w+://", text(own, "path")):
        message = "replica path cannot be a url, please use the 'url' field instead"
        report.add("contradictory", own["path"], message, "Rename the key to 'url:'")
        return
    other = _EXCLUDED.get(kind, "bucket")
    for name in ("path", other) if other is not None and url else ():
        if name and text(found, name):
            exclude(report, found[name], f"cannot specify url & {name} for {kind} replica")
    _required(report, node, kind, url, found)
    above(report, own, "sync-interval")
    _encryption(report, found)
    if kind == "file" and text(own, "path"):
        relative(report, own["path"])
    if kind == "sftp" and report.series == "0.5" and not text(found, "host-key"):
        message = "without 'host-key:', any server that answers is trusted"
        report.add(
            "no-host-key", node, message, "Add the line of ssh-keyscan, from the key's type on"
        )
    every = seconds(found, "sync-interval")
    if kind in _BUCKETS and every is not None and 0 < every < 1:
        cost = _MONTH / every * _PUT
        message = (
            f"a request each {every * 1000:g} ms costs up to ${cost:,.0f} a month on S3 "
            "for each database that is written to all the time"
        )
        hint = f"1s costs up to ${_MONTH * _PUT:,.0f}, 10s ${_MONTH * _PUT / 10:,.2f}"
        report.add("costly-interval", found["sync-interval"], message, hint)


def kind_of(found: dict[str, Node]) -> str:
    """Return the type of a replica: of its URL, else its ``type``, else ``file``."""
    kind = places.kind(plain(found))
    return {"webdavs": "webdav"}.get(kind, kind)


def plain(found: dict[str, Node]) -> dict[str, str]:
    """Return the values of a replica as text, as a config has them that was read."""
    return {name: text(found, name) for name in found}


def _required(report: Report, node: Node, kind: str, url: str, found: dict[str, Node]) -> None:
    parts = _split(url)
    host, user = (parts.netloc, parts.username) if parts else ("", "")
    missing = []
    if kind == "file" and not url and not text(found, "path"):
        missing.append("path")
    if kind in _BUCKETS and not host and not text(found, "bucket"):
        missing.append("bucket")
    if kind == "nats" and not (parts and parts.path.strip("/")) and not text(found, "bucket"):
        missing.append("bucket")
    if kind == "sftp":
        missing += [
            n for n, has in (("host", host), ("user", user)) if not has and not text(found, n)
        ]
    if kind == "webdav" and not host and not text(found, "webdav-url"):
        missing.append("webdav-url")
    for name in missing[:1]:
        shown = "NATS" if kind == "nats" else kind
        message = f"{name} required for {shown} replica"
        if kind == "file":
            message = "file replica path required"
        at = found.get(name)
        unset = report.text.within(at.start - 1, line_end(report, at.start)) if at else []
        hint = f"Add '{name}:'"
        if at is not None and unset:
            hint = f"Set the variable {unset[0].name}, to which the value refers"
        where = unset[0].start if unset else at
        report.add("missing-key", where if where is not None else node, message, hint)
    if kind == "nats" and bool(text(found, "client-cert")) != bool(text(found, "client-key")):
        message = "client-cert and client-key must both be specified"
        report.add("missing-key", node, message, "Add the other one")


def _encryption(report: Report, found: dict[str, Node]) -> None:
    if "age" not in found:
        return
    age = values(report, found["age"], "age")
    if report.series == "0.5" and any(age[name].items for name in age):
        hint = "Stay on 0.3, or let the storage encrypt (S3: sse-kms-key-id, sse-customer-key)"
        message = "age encryption is not currently supported"
        report.add("age-encryption", found["age"], message, hint)


def relative(report: Report, node: Node, *, scheme: bool = False) -> None:
    """Report a relative path; ``scheme`` allows ``sqlite://`` before it."""
    path = re.sub("^sqlite3?://", "", node.text) if scheme else node.text
    if not path or path == "~" or path.startswith(("/", "~/")) or re.match(r"\w+://", path):
        return
    message = "a relative path means another file if Litestream runs in another directory"
    report.add("relative-path", node, message, "Write the whole path")


def absolute(path: str) -> str:
    """Return a path of the config as an absolute one, from the working directory."""
    return os.path.abspath(with_home(path))


def _split(url: str) -> SplitResult | None:
    """Return the parts of a URL; None where there is none, or its host is not valid."""
    if not url:
        return None
    from urllib.parse import urlsplit  # it costs a tenth of a check, and few replicas have a URL

    try:
        return urlsplit(url)
    except ValueError:
        return None


def text(found: dict[str, Node], name: str) -> str:
    """Return the value of a key as text; empty if the key is missing or null."""
    node = found.get(name)
    return "" if node is None or node.is_null else node.text


def seconds(found: dict[str, Node], name: str) -> float | None:
    """Return the value of a key, a duration, in seconds; None if the key is missing."""
    return values_seconds(found[name].text) if name in found else None


def above(report: Report, found: dict[str, Node], name: str, before: str = "") -> None:
    """Report a duration that is not above 0, in 0.5's words."""
    value = seconds(found, name)
    if value is not None and value <= 0 and report.series == "0.5":
        message = f"{before}{name}: {_POSITIVE[before + name]}"
        report.add("bad-value", found[name], message, "Write a longer duration, or remove it")


def exclude(report: Report, node: Node, message: str) -> None:
    """Report a key that contradicts another one."""
    report.add("contradictory", node, message, "Remove one of them")
