"""The progress of restores, on a terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

from litestream._executable.log_lines import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import TaskID

    Report = Callable[[str, int, int | None], object]

_EVERY = 5.0  # seconds between two lines


@contextlib.contextmanager
def shown(waits_for: str = "the replica") -> Iterator[Report]:
    """Yield a function that takes a name, the bytes written and the bytes expected.

    Before the first byte, and while none is expected, it ``waits_for`` something.

    If standard error is a terminal, each name has a bar there, by ``rich`` (the extra
    ``litestream[cli]``), or a line every few seconds without it. Otherwise nothing is printed.
    """
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
    except ImportError:
        yield _Lines(waits_for).report
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def report(name: str, written: int, expected: int | None) -> None:
            waits = not written and expected is None
            what = f"{escaped(name)}: waiting for {waits_for}" if waits else escaped(name)
            if name not in tasks:
                tasks[name] = progress.add_task(what, total=None)
            progress.update(tasks[name], description=what, completed=written, total=expected)

        yield report


class _Lines:
    def __init__(self, waits_for: str) -> None:
        self._waits_for = waits_for
        self._last: dict[str, float] = {}

    def report(self, name: str, written: int, expected: int | None) -> None:
        now = time.monotonic()
        if now - self._last.setdefault(name, now) >= _EVERY:
            self._last[name] = now
            if not written and expected is None:
                said = f"{escaped(name)}: waiting for {self._waits_for}"
                print(said, file=sys.stderr, flush=True)
                return
            of = f" of {expected}" if expected else ""
            print(f"{escaped(name)}: {written}{of} bytes restored", file=sys.stderr, flush=True)
