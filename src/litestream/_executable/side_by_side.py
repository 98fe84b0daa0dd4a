"""Calls of the executable side by side, in threads: one that fails or is given up ends the rest."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

Item = TypeVar("Item")
Result = TypeVar("Result")

_own = threading.local()


class NotWantedError(KeyboardInterrupt):
    """Nobody waits for this thread's result any more."""


def results(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int
) -> Generator[Result, None, None]:
    """Call a function with each item, ``jobs`` at a time, and yield the results in their order.

    An exception, of a call or of the consumer (Ctrl-C for one), ends the calls that run.
    """
    found = list(items)
    if min(jobs, len(found)) <= 1:
        yield from map(function, found)
        return
    from concurrent.futures import ThreadPoolExecutor

    stopped = threading.Event()

    def one(item: Item) -> Result:
        _own.stopped = stopped
        require_wanted()
        return function(item)

    with ThreadPoolExecutor(min(jobs, len(found)), "litestream-job") as pool:
        futures = [pool.submit(one, item) for item in found]
        try:
            for future in futures:
                yield future.result()
        finally:
            stopped.set()
            for future in futures:
                future.cancel()


def require_wanted() -> None:
    """End this call if nobody waits for it.

    Raises:
        NotWantedError: ``results`` has ended.

    """
    stopped = getattr(_own, "stopped", None)
    if stopped is not None and stopped.is_set():
        raise NotWantedError
