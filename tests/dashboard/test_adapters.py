"""The dashboard over WSGI and ASGI, asked without a server."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

import litestream.dashboard
from litestream.dashboard import messages, over_asgi, over_wsgi
from litestream.dashboard.over_asgi import Asgi
from litestream.dashboard.over_wsgi import Wsgi


@pytest.fixture
def wsgi(tmp_path: Path) -> Iterator[Wsgi]:
    made = litestream.dashboard.wsgi(auth="open", config="no-such.yml", directory=tmp_path / "k")
    yield made
    made.close()


@pytest.fixture
def asgi(tmp_path: Path) -> Iterator[Asgi]:
    made = litestream.dashboard.asgi(auth="open", config="no-such.yml", directory=tmp_path / "k")
    yield made
    made.close()


def environ(**more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    setup_testing_defaults(found)
    return {**found, **more}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/style.css", "/icon.svg", "/x", "/\xc3\xa4\xff", ""])
@pytest.mark.parametrize("prefix", ["", "/backups", "/\xc3\xa4 b"])
def test_wsgi_as_its_specification_has_it(wsgi: Wsgi, method: str, path: str, prefix: str) -> None:
    path = path or ("" if prefix else "/")
    given = environ(REQUEST_METHOD=method, PATH_INFO=path, SCRIPT_NAME=prefix, QUERY_STRING="")
    told: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        told.extend([status, dict(headers)])

    answer = validator(wsgi)(given, start)
    body = b"".join(answer)
    answer.close()  # type: ignore[attr-defined]
    assert told[0][:3] in ("200", "404", "308")
    assert messages.HEADERS.items() <= told[1].items()
    if method == "HEAD":
        assert b"" == body
    else:
        assert str(len(body)) == told[1]["Content-Length"]


@pytest.mark.parametrize(
    ("length", "expected"),
    [("", 0), ("x", 0), ("-5", 0), ("5", 5), ("99999999999999999999", messages.LONGEST_BODY)],
)
def test_no_more_of_a_body_is_read_than_a_form_has(length: str, expected: int) -> None:
    body = io.BytesIO(b"x" * 2 * messages.LONGEST_BODY)
    given = environ(CONTENT_LENGTH=length, **{"wsgi.input": body})
    assert expected == len(over_wsgi.request(given).body)


def scope(path: str = "/", **more: Any) -> dict[str, Any]:
    found = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    return {**found, **more}


def told(application: Asgi, given: dict[str, Any], *messages_: dict[str, Any]) -> list[Any]:
    """Return what an application sends when it receives some messages, and then no more."""
    pending, sent = list(messages_), []

    async def receive() -> Any:
        if not pending:
            await asyncio.sleep(3600)
        return pending.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(application(given, receive, send))
    return sent


WHOLE = {"type": "http.request", "body": b"", "more_body": False}


@pytest.mark.parametrize(
    ("root", "path", "expected"),
    [
        ("", "/x", "/x"),
        ("/backups", "/backups/x", "/x"),
        ("/backups", "/backups", ""),
        ("/backups", "/x", "/x"),  # as servers before 2024 had it
        ("/backups", "/backupsx", "/backupsx"),
    ],
)
def test_a_path_is_what_follows_the_prefix(root: str, path: str, expected: str) -> None:
    found = over_asgi.request(scope(path, root_path=root), b"")
    assert (expected, root) == (found.path, found.prefix)


def test_headers_that_come_twice_are_joined() -> None:
    headers = [(b"Cookie", b"a=1"), (b"cookie", b"b=2"), (b"x-a", b"1"), (b"x-a", b"\xff")]
    found = over_asgi.request(scope(headers=headers), b"")
    assert ["2"] == found.cookies("b")
    assert "1, \xff" == found.headers["x-a"]


@pytest.mark.parametrize("path", ["/", "/style.css", "/x"])
def test_asgi_answers_and_says_nothing_to_a_head(asgi: Asgi, path: str) -> None:
    start, body = told(asgi, scope(path), WHOLE)
    assert str(len(body["body"])).encode() == dict(start["headers"])[b"content-length"]
    _, body = told(asgi, scope(path, method="HEAD"), WHOLE)
    assert b"" == body["body"]


def test_a_client_that_goes_or_dawdles_is_left(asgi: Asgi, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [] == told(asgi, scope(), {"type": "http.disconnect"})
    monkeypatch.setattr(over_asgi, "_PATIENCE", 0.1)
    start, _ = told(asgi, scope(), {"type": "http.request", "body": b"x", "more_body": True})
    assert 408 == start["status"]


def test_a_body_without_end_is_cut(asgi: Asgi) -> None:
    piece = {"type": "http.request", "body": b"x" * 6000, "more_body": True}
    start, _ = told(asgi, scope("/", method="POST"), piece, piece)
    assert 405 == start["status"]


def test_a_lifespan_and_a_websocket(asgi: Asgi) -> None:
    both = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = told(asgi, {"type": "lifespan"}, *both)
    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == [s["type"] for s in sent]
    sent = told(asgi, {"type": "websocket", "path": "/"}, {"type": "websocket.connect"})
    assert ["websocket.close"] == [one["type"] for one in sent]


def test_the_event_loop_goes_on_meanwhile(asgi: Asgi, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(
        asgi._dashboard, "answer", lambda _: go_on.wait(20) and messages.Response(200)
    )
    sent: list[Any] = []

    async def receive() -> Any:
        return WHOLE

    async def send(message: Any) -> None:
        sent.append(message)

    async def both() -> None:
        asked = [asyncio.create_task(asgi(scope(), receive, send)) for _ in range(50)]
        await asyncio.sleep(0.05)
        assert [] == sent
        go_on.set()  # nobody would, if the loop stood still
        await asyncio.gather(*asked)

    asyncio.run(both())
    assert 100 == len(sent)


def test_thresholds_are_those_of_health(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="max_behnd"):
        litestream.dashboard.wsgi(auth="open", directory=tmp_path, max_behnd=5)
