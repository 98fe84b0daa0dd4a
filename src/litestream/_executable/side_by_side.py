"""Calls of the executable side by side, in threads; one that fails or is given up ends all."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Future

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
        _own.over, _own.turns = stopped.is_set, turns
        require_wanted()
        return function(item)

    with ThreadPoolExecutor(min(jobs + waiting, len(found)), "litestream-job") as pool:
        futures = [pool.submit(one, item) for item in found]
        try:
            for future in futures:
                yield _result(future)
        finally:
            stopped.set()
            for future in futures:
                future.cancel()


def _result(future: Future[Result]) -> Result:
    """Wait for a result, for as long as this thread's own is wanted."""
    from concurrent.futures import wait

    while getattr(_own, "over", None) is not None and not future.done():
        wait([future], _PAUSE)
        require_wanted()
    return future.result()


@contextmanager
def until(over: Callable[[], bool]) -> Iterator[None]:
    """Give up the calls that this thread makes in the block as soon as ``over`` is true.

    Raises:
        NotWantedError: It is, and a call was running, or about to.

    """
    before = getattr(_own, "over", None)
    _own.over = over
    try:
        yield
    finally:
        _own.over = before


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
        NotWantedError: ``results`` has ended, or ``until`` is over.

    """
    over = getattr(_own, "over", None)
    if over is not None and over():
        raise NotWantedError
