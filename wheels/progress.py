"""A progress bar, on a terminal and nowhere else."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIDTH = 30


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many of `total` bytes (0: unknown) have come so far."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    shown = ""

    def show(done: int) -> None:
        nonlocal shown
        share = min(1.0, done / total) if total else 0.0
        bar = "█" * int(WIDTH * share)
        line = f"{title} {bar:░<{WIDTH}} {share:4.0%} {done >> 20:3} MiB"
        if line != shown:
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
            shown = line

    try:
        yield show
    finally:
        print(file=sys.stderr)
