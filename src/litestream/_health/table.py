"""A small table in HTML for notebooks; everything in it is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from litestream._executable.log_lines import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_ROWS = 100


def html(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> str:
    """Return the first rows as a table of some columns."""
    names = list(columns)
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(row[name])}</td>" for name in names) + "</tr>"
        for row in rows[:_ROWS]
    )
    more = len(rows) - _ROWS
    foot = f'<tr><td colspan="{len(names)}">and {more} more</td></tr>' if more > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}{foot}</tbody></table>"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    return escape(escaped(str(value)))
