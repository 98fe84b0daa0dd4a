"""Read Litestream's log lines, in the four forms in which its two series write them."""

from __future__ import annotations

import re
from typing import NamedTuple

_TEXT = re.compile(r"time=\S+ level=(?P<level>[A-Z]+)(?:[+-]\d+)? (?P<rest>msg=.*)")
_PLAIN = re.compile(
    r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:(?P<level>DEBUG|INFO|WARN|ERROR):? )?(?P<rest>.*)"
)
_FIELD = re.compile(r'(?:^|\s)(?P<key>[^\s="]+)=(?P<value>"(?:[^"\\]|\\.)*"|[^\s"]*)(?=\s|$)')
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)")
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class LogLine(NamedTuple):
    """One line of a log: its level in capitals, its message and its other fields."""

    level: str
    message: str
    fields: dict[str, str]


def parse(line: str) -> LogLine | None:
    """Return the log line in ``line``, or None if it is none.

    Source: Go's ``slog`` text and JSON handlers, its standard logger (which 0.3 uses until the
    config is read), and the AWS SDK's warnings, as seen in the output of 0.3.13 and 0.5.17.
    """
    if match := _TEXT.fullmatch(line):
        fields = _fields(match["rest"])
        return LogLine(match["level"], fields.pop("msg", ""), fields)
    if line.startswith('{"time":'):
        return _from_json(line)
    if match := _PLAIN.fullmatch(line):
        start = _FIELD.search(match["rest"])
        end = start.start() if start else len(match["rest"])
        return LogLine(match["level"] or "INFO", match["rest"][:end], _fields(match["rest"][end:]))
    return None


def escaped(text: str) -> str:
    """Return ``text`` on one line and harmless on a terminal: a path may hold anything."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _from_json(line: str) -> LogLine | None:
    import json  # few logs are in it

    try:
        found = json.loads(line).items()
    except ValueError:
        return None
    fields = {k: v if isinstance(v, str) else json.dumps(v) for k, v in found}
    if "level" not in fields:
        return None
    fields.pop("time", None)
    return LogLine(fields.pop("level").upper(), fields.pop("msg", ""), fields)


def _fields(text: str) -> dict[str, str]:
    return {match["key"]: _unquote(match["value"]) for match in _FIELD.finditer(text)}


def _unquote(value: str) -> str:
    """Undo Go's ``strconv.Quote``, where an ``x`` escape is a byte that was not UTF-8."""
    if not value.startswith('"'):
        return value
    return _ESCAPE.sub(_unescape, value[1:-1])


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "x" and len(code) > 1:
        return bytes([int(code[1:], 16)]).decode("utf-8", "surrogateescape")
    if code[0] in "uU" and len(code) > 1:
        return chr(int(code[1:], 16))
    return _LETTERS.get(code, code)
