"""Figures and verdicts in words."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litestream.dashboard.watch import Look

GLYPHS = {"failing": "✕", "unknown": "?", "degraded": "!", "ok": "✓"}
_BAD = {
    "failing": ("No. The backup is failing.", "No. {few} {are} failing."),
    "unknown": ("That is not known here.", "That is not known for {few}."),
    "degraded": ("Nearly. The backup needs a look.", "Nearly. {few} {need} a look."),
}
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def shown(text: str) -> str:
    """Return a text without invisible characters, line breaks and changes of direction."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in _HIDDEN else c for c in text)


def shortened(text: str, length: int = 80) -> str:
    """Return a text with its middle left out where it is long."""
    if len(text) <= length:
        return text
    half = length // 2
    return f"{text[:half]}…{text[-half + 1 :]}"


def span(seconds: float | None) -> str:
    """Return a number of seconds in the unit that fits."""
    if seconds is None:
        return "not known"
    for unit, length in (("days", 86400), ("hours", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 3 or seconds == 0 else f"{seconds:.1f} s"


def ago(seconds: float | None) -> str:
    """Return an age."""
    if seconds is None:
        return "never"
    return f"{span(seconds)} ago" if seconds >= 1 else "just now"


def size(number: float | None) -> str:
    """Return a number of bytes in the unit that fits."""
    if number is None:
        return "not known"
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return (
                f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
            )
        number /= 1000
    return f"{number:.1f} TB"


def moment(seconds: float | None) -> str:
    """Return a time, in UTC."""
    if seconds is None:
        return "never"
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def stamp(seconds: float | None) -> str:
    """Return a time as a machine reads it."""
    return "" if seconds is None else moment(seconds).replace(" ", "T") + "Z"


def plain(at: str) -> str:
    """Return an ISO 8601 time, in UTC, as people read it."""
    return at[:19].replace("T", " ")


def count(number: int, noun: str) -> str:
    """Return a number of things."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def answer(look: Look) -> tuple[str, str]:
    """Say whether all is safe: a verdict, and one sentence."""
    if look.trouble:
        return "unknown", "That is not known: the databases cannot be looked at."
    counts, total = look.counts, len(look.rows)
    if not total:
        return "unknown", "Nothing is backed up: the config names no database."
    for verdict in ("failing", "unknown", "degraded"):
        if number := counts[verdict]:
            one, many = _BAD[verdict]
            plural = "is" if number == 1 else "are"
            need = "needs" if number == 1 else "need"
            few = f"{number:,} of {total:,} databases"
            return verdict, one if total == 1 else many.format(few=few, are=plural, need=need)
    rows = look.rows.values()
    behind = max((row["behind"] or 0.0 for row in rows), default=0.0)
    oldest = max((row["good_proof_age"] or 0.0 for row in rows), default=0.0)
    what = "The backup is" if total == 1 else f"All {total:,} backups are"
    late = "up to date" if behind < 1 else f"at most {span(behind)} behind"
    last = "the last proof" if total == 1 else "the oldest last proof"
    return "ok", f"Yes. {what} {late}, and {last} is {span(oldest)} old."
