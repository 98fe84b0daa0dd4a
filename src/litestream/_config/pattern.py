"""A pattern of file names as in Go's ``filepath.Match``, which Litestream uses."""

from __future__ import annotations

import re

from litestream.errors import ConfigurationError


def compiled(pattern: str) -> re.Pattern[str]:
    r"""Return a regular expression for a whole name.

    ``*`` and ``?`` match every character, also a leading dot; ``[^…]`` is the complement of a set
    (``!`` is a character there); after ``\`` a character stands for itself.

    Source: Go's ``path/filepath``, ``Match``.

    Raises:
        ConfigurationError: Go does not accept the pattern.

    """
    parts, at = [], 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "*":
            parts.append("[^/]*")
        elif letter == "?":
            parts.append("[^/]")
        elif letter == "[":
            found, at = _set(pattern, at)
            parts.append(found)
        else:
            at -= 1
            one, at = _character(pattern, at, inside=False)
            parts.append(re.escape(one))
    return re.compile("".join(parts), re.DOTALL)


def _set(pattern: str, at: int) -> tuple[str, int]:
    """Return the set of characters after the bracket before `at`, and the place of its end."""
    is_negated = pattern.startswith("^", at)
    at += is_negated
    ranges: list[str] = []
    while not (pattern.startswith("]", at) and ranges):
        low, at = _character(pattern, at, inside=True)
        high = low
        if pattern.startswith("-", at):
            high, at = _character(pattern, at + 1, inside=True)
        # A range in reverse order is empty, and no error in Go.
        ranges.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
    inner = "".join(ranges)
    if not inner:
        return ("[^/]" if is_negated else r"[^\s\S]"), at + 1
    return (f"[^{inner}/]" if is_negated else f"(?!/)[{inner}]"), at + 1


def _character(pattern: str, at: int, *, inside: bool) -> tuple[str, int]:
    """Return the character at a place, and the place of the next one."""
    letter = pattern[at : at + 1]
    if letter == "\\":
        at += 1
        letter = pattern[at : at + 1]
    elif inside and letter in ("-", "]"):
        letter = ""
    if not letter:
        raise ConfigurationError(
            f"The pattern {pattern!r} is not valid: a bracket is not closed, or "
            "a backslash or a dash stands where a character must follow or precede it"
        )
    return letter, at + 1
