"""Rows as health gives them, and a dashboard that is asked without a server."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from litestream.dashboard.messages import Request, Response
from litestream.dashboard.views import Dashboard
from litestream.rows import HealthRow, HistoryRow
from tests.support import wait_until

VOID = {"meta", "link", "input", "br", "hr", "img"}


def row(database: str, verdict: str = "ok", **more: Any) -> HealthRow:
    found: Any = {
        "database": database,
        "verdict": verdict,
        "reason": f"It is {verdict}",
        "state": "replicating",
        "pid": 4711,
        "restarts": 0,
        "last_sync": time.time(),
        "sync_age": 1.0,
        "behind": 0.0,
        "last_proof": None,
        "proof_age": None,
        "last_good_proof": None,
        "good_proof_age": None,
        "size": 4096,
        "wal_size": 0,
        "state_size": 0,
        "free": 10**9,
        "replica": "file:///backups",
        **more,
    }
    row: HealthRow = found
    return row


def proof(database: str, at: str = "2026-11-25T03:15:00Z", **more: Any) -> HistoryRow:
    found: Any = {
        "at": at,
        "database": database,
        "method": "exact",
        "proved": True,
        "reason": None,
        "message": None,
        "seconds": 4.25,
        "restore_seconds": 2.5,
        "size": 4096,
        "position": "00000000000000ff",
        "host": "web-1",
        **more,
    }
    row: HistoryRow = found
    return row


class Browser:
    """Asks a dashboard, keeps its cookies and goes where it is sent."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard = dashboard
        self.cookies: dict[str, str] = {}

    def get(self, path: str, method: str = "GET", **headers: str) -> Response:
        return self._ask(method, path, b"", headers)

    def text(self, path: str) -> str:
        response = self.get(path)
        assert 200 == response.status
        return checked(response.body.decode())

    def post(self, path: str, token: str | None = None, **headers: str) -> Response:
        headers = {"content-type": "application/x-www-form-urlencoded", **headers}
        return self._ask("POST", path, urlencode({"token": token or ""}).encode(), headers)

    def press(self, page: str, button: str) -> Response:
        """Post one of the forms of a page, as it stands there."""
        token = token_of(self.text(page))
        return self.post(f"{page}/{button}", token)

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Response:
        path, _, query = path.partition("?")
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        response = self.dashboard.answer(Request(method, path, query, headers, body))
        for name, value in response.headers:
            assert "\n" not in value
            assert "\r" not in value
            if name == "Set-Cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
        return response


def token_of(page: str) -> str:
    found = re.search(r'name="token" value="([0-9a-f]+)"', page)
    assert found
    return found[1]


@contextmanager
def opened(config: Any, directory: Path, **options: Any) -> Iterator[Browser]:
    dashboard = Dashboard(options.pop("auth", "open"), config, directory=directory, **options)
    try:
        browser = Browser(dashboard)
        wait_until(lambda: b"Checking the databases" not in browser.get("/").body, "the first look")
        yield browser
    finally:
        dashboard.close()


class _Checker(HTMLParser):
    """Fails where tags do not match, and where a page does what a strict policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "style", "iframe", "object", "base"), tag
        for name, value in attributes:
            assert not name.startswith("on"), (tag, name)
            assert name != "style", tag
            if name in ("href", "src", "action"):
                assert not re.match(r"[a-z]*:|/", value or "", re.IGNORECASE), value
            if name == "id":
                assert value not in self.ids, value
                self.ids.add(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag, tag


def checked(page: str) -> str:
    """Return a page that is well formed and has nothing inline and nothing from elsewhere."""
    checker = _Checker()
    checker.feed(page)
    checker.close()
    assert not checker.open
    return page


def ids_of(page: str) -> list[str]:
    return re.findall(r'href="database/([0-9a-f]{16})"', page)
