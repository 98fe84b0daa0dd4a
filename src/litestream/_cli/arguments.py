"""Arguments of our verbs that are more than text."""

from __future__ import annotations

import argparse


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
