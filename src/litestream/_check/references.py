"""The references of a config to variables, and secrets that should be references."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from litestream._config.keys import SECRET_KEYS

if TYPE_CHECKING:
    from litestream._check.nodes import Node
    from litestream._check.report import Report

_VITAL = ("path", "url", "dir", "bucket", "host", "meta-path", "meta-dir", "webdav-url")


def check(report: Report, root: Node) -> None:
    """Report references to unset variables, and secrets in plain text."""
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
                        _reference(report, key, item)
            else:
                _reference(report, key, value)


def line_end(report: Report, at: int) -> int:
    """Return where the line ends that holds a place of the text."""
    end = report.text.expanded.find("\n", at)
    return end if end >= 0 else len(report.text.expanded)


def _reference(report: Report, key: Node, value: Node) -> None:
    name, text = key.text, report.text
    end = value.end if value.end > value.start and value.text else line_end(report, key.end)
    found = [r for r in text.within(key.end + 1, end) if r.end <= end]
    if not value.text:  # the rest of the line may be a comment
        found = [r for r in found if not re.search(r"\s#", text.expanded[key.end : r.start])]
    level = "error" if name in _VITAL else None
    for reference in found:
        at = reference.start
        shown = f"'{reference.text}'" if len(reference.text) < 40 else "a '$'"
        if not reference.name:
            hint = r'Litestream has no escape; in double quotes YAML has one: "\x24"'
            message = f"{shown} is removed before the config is read"
            report.add("dollar-in-path", at, message, hint, level="error")
        elif reference.value is None:
            if ":-" in reference.name:
                hint = "Litestream has no defaults: set the variable for its process"
            else:
                hint = "Set it for Litestream's process, or by litestream.configure()"
            message = f"{shown} is not set, and is replaced by nothing"
            report.add("unset-variable", at, message, hint, level=level)
        elif name in ("path", "dir") and reference.value.startswith("/") and at > value.start + 1:
            hint = r'For a $ in the name of a file, write "\x24", in double quotes'
            message = f"{shown} is replaced by an absolute path within another path"
            report.add("dollar-in-path", at, message, hint)
    if name in SECRET_KEYS and value.text and not value.is_null and not found:
        shown = name.upper().replace("-", "_")
        prefix = "LITESTREAM_" if shown in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY") else ""
        hint = f"Refer to a variable: ${prefix}{shown}, or a name of your own"
        report.add("secret-in-file", value, f"'{name}' is in the file in plain text", hint)
    elif name == "url" and re.search(r"://[^/@]*:[^/@]+@", value.text) and not found:
        hint = "Use 'password:' with a variable instead"
        report.add("secret-in-file", value, "the URL contains a password", hint)
