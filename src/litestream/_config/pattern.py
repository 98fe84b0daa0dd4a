"""A pattern of file names as Go's ``filepath.Match`` takes it, which is what Litestream asks."""

from __future__ import annotations

import re

from litestream.errors import ConfigurationError


def compiled(pattern: str) -> re.Pattern[str]:
    r"""Return a regular expression for a whole name.

    ``*`` and ``?`` stand for every character, a leading dot included; ``[^…]`` is all but a set
    (``!`` is a character there); ``\`` takes the next character for itself.

    Source: Go's ``path/filepath``, ``Match``.

    Raises:
        ConfigurationError: it is one that Go does not take.

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
    """Return a set of characters, whose bracket stands before `at`, and where it ends."""
    is_negated = pattern.startswith("^", at)
    at += is_negated
    ranges: list[str] = []
    while not (pattern.startswith("]", at) and ranges):
        low, at = _character(pattern, at, inside=True)
        high = low
        if pattern.startswith("-", at):
            high, at = _character(pattern, at + 1, inside=True)
        # One whose ends are the wrong way round holds nothing, and Go says nothing.
        ranges.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
    inner = "".join(ranges)
    if not inner:
        return ("[^/]" if is_negated else r"[^\s\S]"), at + 1
    return (f"[^{inner}/]" if is_negated else f"(?!/)[{inner}]"), at + 1


def _character(pattern: str, at: int, *, inside: bool) -> tuple[str, int]:
    """Return the character that stands at a place, and where the next one does."""
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
