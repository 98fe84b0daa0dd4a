"""A request and a response, whatever server they come from and go to."""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import parse_qs

LONGEST_BODY = 10_000
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclasses.dataclass(frozen=True)
class Request:
    """A request: ``path`` is what follows the mount's prefix, header names are in lower case.

    ``native`` is the server's own: the WSGI environ, the ASGI scope, Django's request.
    """

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)
    body: bytes = dataclasses.field(default=b"", repr=False)
    prefix: str = ""
    is_secure: bool = False
    native: Any = dataclasses.field(default=None, repr=False)

    def argument(self, name: str) -> str:
        """Return the last value of a name in the query, or nothing."""
        return _last(self.query, name)

    def field(self, name: str) -> str:
        """Return the last value of a name in a form that was posted, or nothing."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            return ""
        return _last(self.body.decode("ascii", "replace"), name)

    def cookies(self, name: str) -> list[str]:
        """Return the values of the cookies of a name: there may be several, of several paths."""
        pairs = [part.strip().partition("=") for part in self.headers.get("cookie", "").split(";")]
        return [value for found, _, value in pairs if found == name]


def _last(encoded: str, name: str) -> str:
    try:
        found = parse_qs(encoded, keep_blank_values=True, errors="replace", max_num_fields=50)
    except ValueError:
        return ""
    return found.get(name, [""])[-1]


@dataclasses.dataclass(frozen=True)
class Response:
    """A response. Its headers always have those that keep a page to itself."""

    status: int
    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    more: tuple[tuple[str, str], ...] = ()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Return all headers."""
        return [
            ("Content-Type", self.content_type),
            ("Content-Length", str(len(self.body))),
            *HEADERS.items(),
            *self.more,
        ]
