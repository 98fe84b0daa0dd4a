"""Litestream in the lifespan of an ASGI application of any framework.

::

    import litestream.asgi

    application = litestream.asgi.Replicated(application)
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from litestream import Replication, recover
from litestream._replication.cancelled_start import started

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping

    from litestream.configuration import ConfigArgument
    from litestream.recovery import Expectation

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

__all__ = ["Replicated", "replicating"]


@contextlib.asynccontextmanager
async def replicating(
    config: ConfigArgument = None, *, expect: Expectation = "any", **options: Any
) -> AsyncGenerator[Replication, None]:
    """Recover the missing databases, and replicate for as long as an `async with` block lasts.

    ``config`` and ``expect`` are those of ``recover``, ``options`` those of ``Replication``. The
    event loop goes on meanwhile. Of several workers one replicates; the others stand by.
    """
    replication = Replication(config, **options)

    def start() -> None:
        recover(expect=expect, config=config, expand_env=options.get("expand_env", True))
        replication.start()

    await started(start, replication.stop)
    try:
        yield replication
    finally:
        await asyncio.to_thread(replication.stop)


class Replicated:
    """Wrap any ASGI application so that it is replicated from the start to the end of its lifespan.

    Arguments are those of ``replicating``. The databases are recovered, and replicated, before the
    application's own start-up, and until after its shutdown. If that fails, the server gets
    the failure, and does not serve. An application without a lifespan (Django's) is served, too.
    """

    def __init__(
        self, application: Application, config: ConfigArgument = None, **options: Any
    ) -> None:
        self._application = application
        self._config = config
        self._options = options

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a lifespan, and hand everything else on."""
        if scope["type"] != "lifespan":
            await self._application(scope, receive, send)
            return
        startup = await receive()
        async with contextlib.AsyncExitStack() as stack:
            try:
                replication = await stack.enter_async_context(
                    replicating(self._config, **self._options)
                )
            except Exception as error:  # raised, the server would serve anyway
                await send({"type": "lifespan.startup.failed", "message": f"litestream: {error}"})
                return
            if "state" in scope:
                scope["state"].setdefault("litestream", replication)
            await _Inner(self._application, startup, receive, send, stack).live(scope)


class _Inner:
    """The lifespan of the wrapped application; its last message waits for the final sync."""

    def __init__(
        self,
        application: Application,
        startup: Message,
        receive: Receive,
        send: Send,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        self._application = application
        self._startup: Message | None = startup
        self._receive = receive
        self._send = send
        self._stack = stack
        self._started = self._ended = False

    async def live(self, scope: MutableMapping[str, Any]) -> None:
        try:
            await self._application(scope, self.receive, self.send)
        except Exception:
            if self._started or self._ended:
                raise
            # By ASGI's specification, the application knows no lifespan.
        if not self._started and not self._ended:
            await self.send({"type": "lifespan.startup.complete"})
        if not self._ended:
            self._startup = None
            await self.receive()
            await self.send({"type": "lifespan.shutdown.complete"})

    async def receive(self) -> Message:
        startup, self._startup = self._startup, None
        return startup or await self._receive()

    async def send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._started = True
        else:  # startup.failed, shutdown.complete, shutdown.failed: the server may end now
            self._ended = True
            await self._stack.aclose()
        await self._send(message)
