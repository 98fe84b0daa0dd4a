"""A start from a coroutine, which may be cancelled while a thread still starts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, TypeVar

from litestream._executable import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable

    T = TypeVar("T")


async def started(start: Callable[[], object], stop: Callable[[], object]) -> None:
    """Start in a thread; stop again when this is cancelled.

    A thread cannot be cancelled, and nobody calls `__aexit__` then: the daemon would stay. What the
    thread asks of a replica, which may not answer for long, is given up.
    """
    cancelled = threading.Event()

    def begin() -> None:
        unwanted = contextlib.suppress(side_by_side.NotWantedError)
        with unwanted, side_by_side.until(cancelled.is_set):
            start()

    starting = asyncio.ensure_future(asyncio.to_thread(begin))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        cancelled.set()
        await _settled(starting)
        await _settled(asyncio.ensure_future(asyncio.to_thread(stop)))
        raise


async def _settled(future: asyncio.Future[T]) -> None:
    """Wait for a future, however often the wait is cancelled, and whatever the future raises."""
    while not future.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([future])
    if not future.cancelled():
        future.exception()
