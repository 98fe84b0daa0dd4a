"""A start from a coroutine, which may be cancelled while a thread still starts."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    T = TypeVar("T")


async def started(start: Callable[[], T], stop: Callable[[], object]) -> T:
    """Start in a thread, and return what that returns; stop again when this is cancelled.

    A thread cannot be cancelled, and nobody calls `__aexit__` then: the daemon would stay.
    """
    starting = asyncio.ensure_future(asyncio.to_thread(start))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
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
