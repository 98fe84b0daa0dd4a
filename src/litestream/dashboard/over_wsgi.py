"""The dashboard over WSGI."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from litestream.dashboard.messages import LONGEST_BODY, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from litestream.dashboard.views import Dashboard


class Wsgi:
    """A WSGI application, to be served or mounted."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request."""
        response = self._dashboard.answer(request(environ))
        phrase = HTTPStatus(response.status).phrase
        start_response(f"{response.status} {phrase}", response.headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]

    def close(self) -> None:
        """Stop looking at the databases."""
        self._dashboard.close()


def request(environ: dict[str, Any]) -> Request:
    """Return what an environ asks for."""
    headers = {
        name[5:].replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    headers["content-type"] = environ.get("CONTENT_TYPE") or ""
    return Request(
        method=environ["REQUEST_METHOD"].upper(),
        path=_text(environ.get("PATH_INFO", "")),
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
        body=_body(environ),
        prefix=_text(environ.get("SCRIPT_NAME", "")),
        is_secure=environ.get("wsgi.url_scheme") == "https",
        native=environ,
    )


def _text(value: str) -> str:
    return value.encode("latin-1", "replace").decode("utf-8", "replace")


def _body(environ: dict[str, Any]) -> bytes:
    """Return the body up to the longest form; the client says the length."""
    given = environ.get("CONTENT_LENGTH") or "0"
    length = int(given) if given.isascii() and given.isdigit() else 0
    found: bytes = environ["wsgi.input"].read(min(length, LONGEST_BODY)) if length else b""
    return found
