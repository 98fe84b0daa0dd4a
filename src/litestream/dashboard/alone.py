"""The dashboard alone: on the loopback address, for the browser with the one-time address."""

from __future__ import annotations

import hmac
import re
import secrets
import socketserver
import threading
from typing import TYPE_CHECKING, Any
from wsgiref import simple_server

from litestream.dashboard.over_wsgi import Wsgi
from litestream.dashboard.over_wsgi import request as request_of
from litestream.dashboard.views import Dashboard

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from litestream._config.config import ConfigArgument
    from litestream.dashboard.messages import Request

_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.ASCII)
_ENTRY = "/sign-in/"
_AT_ONCE = 128


class Alone:
    """A server of the dashboard; ``address`` lets one browser in, once."""

    def __init__(
        self,
        port: int = 0,
        config: ConfigArgument = None,
        actions: Iterable[str] = (),
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        self._token: str | None = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self._cookie = f"litestream_{secrets.token_hex(4)}"  # cookies are shared by all ports
        self._once = threading.Lock()
        self._application = Wsgi(Dashboard(self._is_known, config, actions, directory))
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.set_app(self._answer)
        self.port: int = self._server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}{_ENTRY}{self._token}"

    def serve(self) -> None:
        """Serve until ``close`` is called, or a signal comes."""
        try:
            self._server.serve_forever(poll_interval=0.2)
        finally:
            self._server.server_close()
            self._application.close()

    def close(self) -> None:
        """End ``serve``."""
        self._server.shutdown()

    def _is_known(self, request: Request) -> bool:
        return any(
            hmac.compare_digest(value.encode(), self._session.encode())
            for value in request.cookies(self._cookie)
        )

    def _answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        # Another site's name may resolve to this address: refuse requests of its pages.
        if not _LOOPBACK.fullmatch(environ.get("HTTP_HOST", "")):
            return _told(
                start_response, "403 Forbidden", "This address works on this computer only."
            )
        request = request_of({**environ, "CONTENT_LENGTH": "0"})
        if not request.path.startswith(_ENTRY):
            return self._application(environ, start_response)
        if request.method == "GET" and self._takes(request.path[len(_ENTRY) :]):
            cookie = f"{self._cookie}={self._session}; Path=/; HttpOnly; SameSite=Lax"
            return _told(start_response, "303 See Other", "", Location="../", Set_Cookie=cookie)
        text = "This address was used already, or is wrong. Start 'litestream dashboard' again."
        return _told(start_response, "403 Forbidden", text)

    def _takes(self, token: str) -> bool:
        with self._once:
            if self._token is None or not hmac.compare_digest(token.encode(), self._token.encode()):
                return False
            self._token = None
            return True


def _told(
    start_response: Callable[..., Any], status: str, text: str, **more: str
) -> Iterable[bytes]:
    from litestream.dashboard.messages import Response

    response = Response(
        int(status[:3]),
        text.encode(),
        "text/plain; charset=utf-8",
        tuple((name.replace("_", "-"), value) for name, value in more.items()),
    )
    start_response(status, response.headers)
    return [response.body]


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, *arguments: Any) -> None:
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__(*arguments)

    def server_bind(self) -> None:
        """Bind; the base class would ask a name server first."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, once there is room."""
        self._room.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing about a client that has gone."""


class _Handler(simple_server.WSGIRequestHandler):
    timeout = 20.0  # of one read or write: a slow client keeps a thread no longer
    server_version = "litestream"
    sys_version = ""

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Log nothing: the one-time address is a secret."""
