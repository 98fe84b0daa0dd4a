"""Plots as SVG, each with its finding in words and a table of the same numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream.dashboard import words
from litestream.dashboard.store import RANGES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestream.dashboard.store import Sample
    from litestream.rows import HistoryRow

WIDTH, HEIGHT = 720, 120


class Line(NamedTuple):
    """One line: the class that draws it, its name, and its points: the beginning and the value."""

    style: str
    name: str
    points: Sequence[tuple[float, float]]


class Plot(NamedTuple):
    """What the template draws."""

    id: str
    title: str
    finding: str
    top: str
    middle: str
    bottom: str
    paths: list[tuple[str, str, str]]
    limit: float | None
    limit_name: str
    head: list[str]
    rows: list[list[str]]
    begin: str
    end: str


def of_samples(
    samples: Sequence[Sample], proofs: Sequence[HistoryRow], span: str, now: float, limit: float
) -> list[Plot]:
    """Return the plots of a database: how far behind, how large, how long a restore takes."""
    step = RANGES[span][0]

    def line(style: str, name: str, field: str) -> Line:
        pairs = ((one.at, getattr(one, field)) for one in samples)
        return Line(style, name, [(at, value) for at, value in pairs if value is not None])

    restores = [
        (at, row["restore_seconds"])
        for row in proofs
        if row["proved"] and row["restore_seconds"] is not None and (at := seconds_of(row)) > 0
    ]
    begin = now - math.prod(RANGES[span])
    inside = [(at, value) for at, value in restores if begin < at <= now]
    return [
        _plot(
            "behind",
            "Behind the database",
            [line("first", "behind", "behind")],
            words.span,
            (begin, now, step),
            limit,
        ),
        _plot(
            "size",
            "Size",
            [line("first", "database", "size"), line("second", "WAL", "wal_size")],
            words.size,
            (begin, now, step),
        ),
        _plot(
            "restore",
            "Seconds that a restore took",
            [Line("bar", "restore", inside)],
            words.span,
            (begin, now, 0),
        ),
    ]


def seconds_of(row: HistoryRow) -> float:
    """Return the time of a proof; 0 where it is none."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(row["at"].replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _plot(
    id: str,  # noqa: A002
    title: str,
    lines: list[Line],
    unit: Callable[[float | None], str],
    window: tuple[float, float, int],
    limit: float | None = None,
) -> Plot:
    begin, end, step = window
    values = [value for line in lines for _, value in line.points]
    top = _round_up(max(values, default=0.0))
    is_near = limit is not None and top >= limit / 2
    if is_near and limit is not None:
        top = max(top, limit * 1.1)

    def x(at: float) -> float:
        return round((at - begin) / (end - begin) * WIDTH, 1)

    def y(value: float) -> float:
        return round(HEIGHT - value / top * (HEIGHT - 4) - 1, 1)

    paths = []
    for line in lines:
        drawn = (
            "".join(f"M{x(at)} {HEIGHT}V{y(value)}" for at, value in line.points)
            if line.style == "bar"
            else _steps(line.points, step, end, x, y)
        )
        paths.append((line.style, line.name, drawn))
    return Plot(
        id=id,
        title=title,
        finding=_finding(lines, unit, limit),
        top=unit(top),
        middle=unit(top / 2),
        bottom="0",
        paths=paths if values else [],
        limit=y(limit) if is_near and limit is not None else None,
        limit_name=f"limit {unit(limit)}" if limit is not None else "",
        head=["time (UTC)", *(line.name for line in lines)],
        rows=_table(lines, unit),
        begin=words.moment(begin)[:16],
        end=words.moment(end)[:16],
    )


def _steps(points: Sequence[tuple[float, float]], step: int, end: float, x: Any, y: Any) -> str:
    """Draw each step as a level line; where there is no sample, there is a gap."""
    path, last = "", -math.inf
    for at, value in points:
        path += f"{'L' if at - last < step * 1.5 else 'M'}{x(max(at, 0))} {y(value)}"
        path += f"H{x(min(at + step, end))}"
        last = at
    return path


def _finding(lines: list[Line], unit: Callable[[float | None], str], limit: float | None) -> str:
    said = []
    for line in lines:
        values = [value for _, value in line.points]
        if values:
            said.append(f"{line.name}: {unit(values[-1])} at the end, at most {unit(max(values))}")
    text = "; ".join(said) or "No figures yet"
    over = sum(1 for _, value in lines[0].points if limit is not None and value > limit)
    if limit is not None and said:
        text += f"; above the limit of {unit(limit)} in {over} of {len(lines[0].points)} samples"
    return text + "."


def _table(lines: list[Line], unit: Callable[[float | None], str]) -> list[list[str]]:
    found: dict[float, list[str]] = {}
    for number, line in enumerate(lines):
        for at, value in line.points:
            found.setdefault(at, ["-"] * len(lines))[number] = unit(value)
    return [[words.moment(at), *values] for at, values in sorted(found.items(), reverse=True)]


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, … times a power of ten."""
    if value <= 1:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(power * digit for digit in (1, 2, 5, 10) if value <= power * digit * 1.000001)
