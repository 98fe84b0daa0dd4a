"""The references of a config to variables, and secrets that should be references."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from litestream._config.keys import BY_PLACE

if TYPE_CHECKING:
    from litestream._check.nodes import Node
    from litestream._check.report import Report

_VITAL = ("path", "url", "dir", "bucket", "host", "meta-path", "meta-dir", "webdav-url")


def check(report: Report, root: Node) -> None:
    """Report references to unset variables, and secrets that are no references."""
    secret = {
        key.name for keys in BY_PLACE.values() for key in keys.values() if key.kind == "secret"
    }
    waiting = [root]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        waiting += [item for item in node.items if item.kind != "scalar"]
        for key, value in node.pairs:
            if value.kind != "scalar":
                waiting.append(value)
                for item in value.items:
                    if item.kind == "scalar":
                        _reference(report, key, item, secret)
            else:
                _reference(report, key, value, secret)


def line_end(report: Report, at: int) -> int:
    end = report.text.expanded.find("\n", at)
    return end if end >= 0 else len(report.text.expanded)


def _reference(report: Report, key: Node, value: Node, secret: set[str]) -> None:
    name, text = key.text, report.text
    end = value.end if value.end > value.start and value.text else line_end(report, key.end)
    found = [r for r in text.within(key.end + 1, end) if r.end <= end]
    if not value.text:  # what follows on its line may be a comment
        found = [r for r in found if not re.search(r"\s#", text.expanded[key.end : r.start])]
    level = "error" if name in _VITAL else None
    for reference in found:
        at = reference.start
        shown = f"'{reference.text}'" if len(reference.text) < 40 else "a '$'"
        if not reference.name:
            hint = r'Litestream has no escape; in double quotes YAML has one: "\x24"'
            message = f"{shown} is taken out before the config is read"
            report.add("dollar-in-path", at, message, hint, level="error")
        elif reference.value is None:
            if ":-" in reference.name:
                hint = "Litestream knows no defaults: set the variable where it starts"
            else:
                hint = "Set it where Litestream starts, or by litestream.configure()"
            message = f"{shown} is not set, and is replaced by nothing"
            report.add("unset-variable", at, message, hint, level=level)
        elif name in ("path", "dir") and reference.value.startswith("/") and at > value.start + 1:
            hint = r'To name a file with a $, write "\x24" for it, in double quotes'
            message = f"{shown} is replaced by a whole path, in the middle of another"
            report.add("dollar-in-path", at, message, hint)
    if name in secret and value.text and not value.is_null and not found:
        hint = "Refer to a variable: $LITESTREAM_SECRET_ACCESS_KEY, or a name of your own"
        report.add("secret-in-file", value, f"'{name}' stands in the file as it is", hint)
    elif name == "url" and re.search(r"://[^/@]*:[^/@]+@", value.text) and not found:
        hint = "Use 'password:' and a variable in place of the URL's"
        report.add("secret-in-file", value, "the URL holds a password", hint)
