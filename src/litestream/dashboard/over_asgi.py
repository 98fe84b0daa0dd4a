"""The dashboard over ASGI; its work is done in threads, so that the event loop goes on."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from litestream.dashboard.messages import LONGEST_BODY, Request, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from litestream.dashboard.views import Dashboard

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_PATIENCE = 10.0
"""Seconds that the body of a form may take."""


class Asgi:
    """An ASGI application, to be served or mounted."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        # Threads of its own: slow work here must not occupy the host's.
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="litestream-dashboard")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, and a lifespan where the dashboard is served alone."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            body = await asyncio.wait_for(_body(receive), _PATIENCE)
            if body is None:  # the client has gone
                return
            asked = request(scope, body)
            loop = asyncio.get_running_loop()
            response = await loop.run_in_executor(self._threads, self._dashboard.answer, asked)
        except asyncio.TimeoutError:
            response = Response(408)
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in response.headers
        ]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})

    def close(self) -> None:
        """Stop looking at the databases."""
        self._dashboard.close()
        self._threads.shutdown(wait=False)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        what = (await receive())["type"]
        await send({"type": f"{what}.complete"})
        if what == "lifespan.shutdown":
            return


async def _body(receive: Receive) -> bytes | None:
    """Return the body up to the longest form; None when the client has gone."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += bytes(message.get("body", b""))
        if not message.get("more_body") or len(body) > LONGEST_BODY:
            return body[:LONGEST_BODY]


def request(scope: Message, body: bytes) -> Request:
    """Return what a scope asks for."""
    prefix, path = scope.get("root_path", ""), scope["path"]
    if prefix and (path == prefix or path.startswith(prefix + "/")):  # as it has been since 2024
        path = path[len(prefix) :]
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        separator = "; " if name == "cookie" else ", "
        headers[name] = f"{headers[name]}{separator}{value}" if name in headers else value
    return Request(
        method=scope["method"].upper(),
        path=path,
        query=scope.get("query_string", b"").decode("ascii", "replace"),
        headers=headers,
        body=body,
        prefix=prefix,
        is_secure=scope.get("scheme") == "https",
        native=scope,
    )
