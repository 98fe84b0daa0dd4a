"""Calls of the executable side by side, in threads; one that fails or is given up ends all."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")

_own = threading.local()
_PAUSE = 0.1


class NotWantedError(KeyboardInterrupt):
    """The result of this thread is not wanted any more."""


def results(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int, *, waiting: int = 0
) -> Generator[Result, None, None]:
    """Call a function with each item, ``jobs`` at a time, and yield the results in their order.

    An exception, of a call or of the consumer (such as Ctrl-C), ends the calls that run. If the
    calls take a ``turn`` for the work that keeps the machine busy, ``waiting`` more of them may
    wait for something else meanwhile.
    """
    found = list(items)
    if min(jobs + waiting, len(found)) <= 1:
        yield from map(function, found)
        return
    from concurrent.futures import ThreadPoolExecutor

    stopped, turns = threading.Event(), threading.Semaphore(max(1, jobs))

    def one(item: Item) -> Result:
        _own.stopped, _own.turns = stopped, turns
        require_wanted()
        return function(item)

    with ThreadPoolExecutor(min(jobs + waiting, len(found)), "litestream-job") as pool:
        futures = [pool.submit(one, item) for item in found]
        try:
            for future in futures:
                yield future.result()
        finally:
            stopped.set()
            for future in futures:
                future.cancel()


@contextmanager
def turn() -> Iterator[float]:
    """Take one of the ``jobs`` turns of ``results``, and give the seconds that this took."""
    turns = getattr(_own, "turns", None)
    if turns is None:
        yield 0.0
        return
    begun = time.monotonic()
    while not turns.acquire(timeout=_PAUSE):
        require_wanted()
    try:
        yield time.monotonic() - begun
    finally:
        turns.release()


def require_wanted() -> None:
    """End this call if nobody waits for it.

    Raises:
        NotWantedError: ``results`` has ended.

    """
    stopped = getattr(_own, "stopped", None)
    if stopped is not None and stopped.is_set():
        raise NotWantedError
