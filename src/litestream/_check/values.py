"""The values that a config may have: the kinds of the key tables, as Litestream decodes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litestream._check.nodes import Node

_TRUE = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
_FALSE = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
_INT = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)")
_DURATION = re.compile(r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|[-+]?0")
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_MICRO = dict.fromkeys(("us", "µs", "μs"), 1e-6)
_SECONDS = {"ns": 1e-9, **_MICRO, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"[\d.,]+ *(?:[kmgtpe]i?b?|b|)", re.IGNORECASE)
_LONG = re.compile(r"[-+]?\d+ *(d|days?|w|weeks?|mo|months?|y|years?|sec|secs|seconds?|min|mins|"
                   r"minutes?|hours?|hrs?)", re.IGNORECASE)  # fmt: skip
_WANTED = {
    "bool": "true or false",
    "int": "a whole number",
    "mode": "an octal number, such as 0600, without quotes",
    "duration": "a duration, such as 30s, 5m or 24h",
    "size": "a size, such as 5MiB",
    "texts": "a list of texts",
    "mapping": "a mapping",
    "mappings": "a list of mappings",
}


def problem(kind: str, node: Node) -> tuple[str, str, str] | None:
    """Return the id, the message and the hint of a value that is not of its kind."""
    if node.is_null:
        return None
    if kind in ("mapping", "mappings", "texts"):
        wanted = "mapping" if kind == "mapping" else "list"
        if node.kind == wanted:
            return None
        hint = f"Write {_WANTED[kind]} here"
        if kind == "mappings" and node.kind == "mapping":
            hint = "Put '- ' before its first key, to make it a list of one"
        return "wrong-type", f"takes {_WANTED[kind]}, not {_is(node)}", hint
    if node.kind != "scalar":
        return "wrong-type", f"takes one value, not {_is(node)}", "Write one value here"
    check = _CHECKS.get(kind)
    return check(node) if check else None


def _is(node: Node) -> str:
    return {"scalar": "a single value", "list": "a list", "mapping": "a mapping"}[node.kind]


def _bool(node: Node) -> tuple[str, str, str] | None:
    if node.plain and node.text in _TRUE | _FALSE:
        return None
    quoted = not node.plain and node.text in _TRUE | _FALSE
    hint = "Remove the quotes" if quoted else "Write true or false"
    return "wrong-type", "takes true or false", hint


def _int(node: Node) -> tuple[str, str, str] | None:
    if node.plain and _INT.fullmatch(node.text):
        return None
    quoted = not node.plain and _INT.fullmatch(node.text)
    hint = "Remove the quotes" if quoted else "Write a whole number, without a unit"
    return "wrong-type", "takes a whole number", hint


def _mode(node: Node) -> tuple[str, str, str] | None:
    if found := _int(node):
        return found[0], found[1], "Write an octal number without quotes, such as 0600"
    if not node.text.startswith("0"):
        return (
            "wrong-unit",
            "is a decimal number, although a mode is octal",
            "Put a 0 before it: 0600",
        )
    return None


def _duration(node: Node) -> tuple[str, str, str] | None:
    if _DURATION.fullmatch(node.text):
        return None
    if node.plain and re.fullmatch(r"[-+]?[\d_.]+", node.text):
        return (
            "wrong-unit",
            "is a duration without a unit, which Litestream reads as nanoseconds",
            "Add the unit: s, m or h",
        )
    hint = "Write it in h, m, s or ms, such as 24h or 1h30m"
    if _LONG.fullmatch(node.text):
        hint = "Write hours, minutes or seconds: h, m, s (7 days: 168h)"
        return "wrong-unit", "is a duration with a unit that Litestream does not know", hint
    return "wrong-type", "takes a duration", hint


def _size(node: Node) -> tuple[str, str, str] | None:
    if _SIZE.fullmatch(node.text.strip()):
        return None
    known = re.match(r"[\d.]+ *[A-Za-z]", node.text)
    hint = "Write it as 5MiB, 10MB or a number of bytes"
    return "wrong-unit" if known else "wrong-type", "takes a size", hint


_CHECKS = {"bool": _bool, "int": _int, "mode": _mode, "duration": _duration, "size": _size}


def seconds(text: str) -> float | None:
    """Return a duration's seconds, or None for any other text."""
    if not _DURATION.fullmatch(text):
        return None
    total = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    return -total if text.startswith("-") else total


def is_true(text: str) -> bool:
    """Tell whether Litestream reads a plain scalar as true."""
    return text in _TRUE
