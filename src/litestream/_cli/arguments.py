"""Arguments of our verbs that are more than text."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ONE_DASH = re.compile(r"-[a-z][a-z-]+(?:=.*)?", re.DOTALL)


def with_two_dashes(words: Iterable[str]) -> list[str]:
    """Return arguments with two dashes where Litestream's own verbs take one, as in ``-config``.

    What follows ``--`` is no option, and stays.
    """
    found = list(words)
    end = found.index("--") if "--" in found else len(found)
    return [f"-{word}" if _ONE_DASH.fullmatch(word) else word for word in found[:end]] + found[end:]


def seconds(text: str) -> float:
    """Read a time limit."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def count(text: str) -> int:
    """Read how many there are to be."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
