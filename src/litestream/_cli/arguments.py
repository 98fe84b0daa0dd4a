"""Arguments that need more than argparse: options with one dash, limits, counts."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ONE_DASH = re.compile(r"-[a-z][a-z-]+(?:=.*)?", re.DOTALL)

CONFIG = "the config (default: search the usual places)"


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config`` to a parser."""
    parser.add_argument("--config", metavar="FILE", help=CONFIG)


def add_expand_env(parser: argparse.ArgumentParser) -> None:
    """Add ``--no-expand-env``, the ``expand_env`` of the options, to a parser."""
    parser.add_argument(
        "--no-expand-env",
        dest="expand_env",
        action="store_false",
        help="do not replace $NAME in the config by a variable",
    )


def with_two_dashes(words: Iterable[str]) -> list[str]:
    """Return arguments with two dashes where Litestream's own verbs take one, as in ``-config``.

    What follows ``--`` is no option, and stays.
    """
    found = list(words)
    end = found.index("--") if "--" in found else len(found)
    return [f"-{word}" if _ONE_DASH.fullmatch(word) else word for word in found[:end]] + found[end:]


def seconds(text: str) -> float:
    """Return a time limit in seconds."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def count(text: str) -> int:
    """Return a number of things: 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
