"""Turn the executable's text or JSON into rows."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, cast

from litestream._executable import log_lines
from litestream.errors import UnreadableOutputError

if TYPE_CHECKING:
    from litestream.rows import LTXRow, PlanResult

_REQUEST_ID = re.compile(
    r",? ?\b(?:RequestID|HostID): ?[^\s,]*(?=,|$)|\s*,? request id: [^\s,]*|, host id: ?[^\s,]*"
    r"|\n?\bRequestId:[\w-]+(?:\nTime:\S+)?",
    re.MULTILINE,
)


class _LTX(TypedDict):
    level: int
    min_txid: str
    max_txid: str
    size: int
    timestamp: str


Row = TypeVar("Row")

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
_TEXT = r"[^ ]|[^ ].*[^ ]"
_COLUMNS = {
    "path": _TEXT,
    "replicas": rf"|{_TEXT}",
    "name": _TEXT,
    "replica": _TEXT,
    "generation": r"[0-9a-f]{16}",
    "lag": r"-?(?:\d+(?:\.\d+)?(?:h|m|s|ms|µs|ns))+",
    "start": _TIME,
    "end": _TIME,
    "created": _TIME,
    "index": r"\d+",
    "offset": r"\d+",
    "size": r"\d+",
}
_NUMBERS = ("index", "offset", "size")
_JSON_START = re.compile(r"^(?:\[|\{|\[\]|\{\}|null)$", re.MULTILINE)


def table(text: str, row: type[Row]) -> list[Row]:
    """Return the rows of a table of series 0.3, cut where its header's columns begin.

    ``row`` is a TypedDict, whose keys are the header's words.

    Names and paths may hold spaces. A tab or a line break in one moves the columns of its line
    (Go's ``text/tabwriter`` takes them for its own), so such a line is refused, never guessed.

    Raises:
        UnreadableOutputError: a line does not fit the header, or the output was cut short.

    """
    columns = tuple(row.__annotations__)
    lines = text.split("\n")
    header = re.compile(r"  +".join(columns) + " *")
    start = next((n for n, line in enumerate(lines) if header.fullmatch(line)), None)
    if start is None:
        raise _unreadable("it has no table with the columns " + ", ".join(columns), text)
    if lines.pop():
        raise _unreadable("it ends in the middle of a line", text)
    offsets = [match.start() for match in re.finditer(r"\S+", lines[start])]
    return [
        cast("Row", _cut(line, columns, offsets))
        for line in lines[start + 1 :]
        if (log := log_lines.parse(line)) is None or not log.message
    ]


def _cut(line: str, columns: tuple[str, ...], offsets: list[int]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column, start, end in zip(columns, offsets, [*offsets[1:], None], strict=True):
        cell = line[start:end]
        value = cell if end is None else cell.rstrip(" ")
        padded = end is None or len(cell) - len(value) >= 2
        # the last column may hold anything but what another column's padding looks like
        if not padded or not re.fullmatch(_COLUMNS[column], value) or _is_ambiguous(value, end):
            raise _unreadable(
                f"its column {column!r} is not where the header says (a tab or a line break in a "
                "name or a path does that: rename it, or use series 0.5)",
                line,
            )
        row[column] = int(value) if column in _NUMBERS else value
    return row


def _is_ambiguous(value: str, end: int | None) -> bool:
    return end is None and "  " in value


def json_rows(text: str, row: type[Row]) -> list[Row]:
    """Return the JSON list in a run's output, without the log lines before it (0.5).

    ``row`` is a TypedDict; keys that it does not have are left out.

    Raises:
        UnreadableOutputError: there is no such list, or a row of it lacks a key.

    """
    content = _json(text)
    columns = row.__annotations__
    try:
        if not isinstance(content, list):
            raise TypeError(content)
        return [cast("Row", {column: found[column] for column in columns}) for found in content]
    except (KeyError, TypeError) as error:
        raise _unreadable(f"it is no list of rows with {', '.join(columns)}", text) from error


def _json(text: str) -> Any:
    start = _JSON_START.search(text)
    if start is None:
        raise _unreadable("it holds no JSON", text)
    try:
        content = json.loads(text[start.start() :])
    except ValueError as error:
        raise _unreadable(f"its JSON is incomplete ({error})", text) from None
    return [] if content is None else content


def ltx_rows(text: str) -> list[LTXRow]:
    """Return the rows of ``litestream ltx -json``."""
    return [
        {
            "level": row["level"],
            "min_txid": row["min_txid"],
            "max_txid": row["max_txid"],
            "size": row["size"],
            "created": row["timestamp"],
        }
        for row in json_rows(text, _LTX)
    ]


def plan(text: str) -> PlanResult:
    """Return what ``litestream restore -dry-run -json`` prints.

    Raises:
        UnreadableOutputError: it is something else.

    """
    content = _json(text)
    try:
        files = ltx_rows(json.dumps(content["files"], indent=1) if content["files"] else "[]")
        return {
            "source": content["source"],
            "replica": content["replica"],
            "min_txid": content["min_txid"],
            "max_txid": content["max_txid"],
            "size": sum(file["size"] for file in files),
            "files": files,
        }
    except (KeyError, TypeError) as error:
        raise _unreadable("it is no plan of a restore", text) from error


def duration(seconds: float) -> str:
    """Return a lag as Go prints it, rounded as ``litestream generations`` of 0.3 does."""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 1:
        milliseconds = round(seconds * 1000)
        return f"{sign}{milliseconds}ms" if milliseconds else "0s"
    if seconds < 60:
        return f"{sign}{round(seconds, 1):g}s"
    whole = round(seconds)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{sign}{hours}h{minute}m{second}s" if hours else f"{sign}{minute}m{second}s"


def seconds_since_epoch(created: str) -> float:
    """Return a row's time as seconds since 1970."""
    return datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()


def _unreadable(because: str, text: str) -> UnreadableOutputError:
    shown = text if len(text) <= 200 else f"{text[:200]}…"
    return UnreadableOutputError(
        f"Litestream's output cannot be read: {because}. It was: {shown!r}"
    )


def without_request_ids(text: str) -> str:
    """Return upstream's sentence without what only a provider's support can read.

    Source: the AWS SDK for Go writes ``RequestID: …, HostID: …,`` (v2, in 0.5) and a line of
    ``status code: 403, request id: …, host id: …`` (v1, in 0.3); Azure's ``RequestId:…`` and its
    time.
    """
    return _REQUEST_ID.sub("", text).strip()
