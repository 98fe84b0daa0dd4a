"""``litestream.starlette`` and ``litestream.asgi`` in real servers; docs/starlette.md's files."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable

import psutil
import pytest

import litestream.asgi
import litestream.starlette
from litestream._executable import side_by_side
from litestream.errors import ConfigurationError
from tests.servers import Page, serving, started
from tests.support import PATIENCE, Site, daemons, wait_until
from tests.test_recovery import lose

pytest.importorskip("starlette")

PAGE = Page("starlette")
STARLETTE, BY_MAPPING = PAGE.files("app.py")
(FASTAPI,) = PAGE.files("main.py")
(WRAPPED,) = PAGE.files("wrapped.py")
SHOP = """
    import contextlib
    import sqlite3
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from rows import insert
    @contextlib.asynccontextmanager
    async def lifespan(app):
        insert("in the lifespan: " + str(sqlite3.connect("app.db").execute(
            "SELECT count(*) FROM items").fetchone()))  # recovered before
        yield {"own": True}
        insert("at its end")
    async def save(request):
        assert request.state.litestream.state in ("replicating", "mending", "standby", "stalled")
        return PlainTextResponse(insert(request.path_params["value"]))
    routes = [Route("/{value}", save)]
    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            KIND
        body = insert(scope["path"][1:])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""
REFUSES = "raise ValueError(scope)"
FAILS = "await receive(); return await send({'type': 'lifespan.startup.failed', 'message': 'own'})"
ROUTER = """
    from fastapi import APIRouter, Request
    from rows import insert
    router = APIRouter()
    @router.get("/{value}")
    async def save(value: str, request: Request) -> int:
        request.state.litestream.state
        return int(insert(value))
"""
BIND = {"hypercorn": "--bind 127.0.0.1:PORT", "gunicorn": "--bind 127.0.0.1:PORT"}
SERVERS = [
    f"{command} {BIND.get(command.split()[0], '--port PORT')}"
    for command in PAGE.commands()
    if not command.startswith("litestream ")
]
# hypercorn: 241 where it ends a worker by SIGTERM that has just started
REFUSED = dict(zip(SERVERS, ([3], [0], [0, 241], [1], [1, 3]), strict=True))


def files(shop: str = SHOP, kind: str = REFUSES, **others: str) -> dict[str, str]:
    return {"shop.py": shop.replace("KIND", kind), "app.py": STARLETTE, **others}


def loses_its_database(site: Site) -> None:
    site.connection.close()
    for file in site.directory.glob("app.db*"):
        file.unlink()


@pytest.mark.only_series("0.5")
@pytest.mark.parametrize("command", SERVERS)
def test_each_server_recovers_replicates_and_syncs(replicated: Site, command: str) -> None:
    loses_its_database(replicated)
    with serving(replicated, command, files()) as server:
        server.assert_proved()
        server.end()
        server.client.saved.append("at its end")
        server.assert_kept()


@pytest.mark.only_series("0.5")
@pytest.mark.parametrize("command", SERVERS)
def test_no_server_serves_what_cannot_be_recovered(site: Site, command: str) -> None:
    loses_its_database(site)
    broken = BY_MAPPING.replace('expect="any"', 'expect="backup"')
    with started(site, command, {**files(), "app.py": broken}) as server:
        wait_until(lambda: server.process.poll() is not None, "the server's end")
        assert server.process.returncode in REFUSED[command], server.log
        assert not server.client.saved


def test_a_worker_that_is_killed_is_followed_by_another(site: Site) -> None:
    with serving(site, SERVERS[1], files()) as server:
        first = server.wait_for_daemon()
        # The worker whose daemon it is: the daemon's keeper is the worker's child.
        os.kill(psutil.Process(first).parents()[1].pid, signal.SIGKILL)
        server.wait_for_daemon(other_than=first)
        server.wait_for_answers("the other worker")
        server.assert_proved()
        server.end()
        server.assert_kept()


@pytest.mark.only_series("0.5")
@pytest.mark.parametrize(("command", "statuses"), [(SERVERS[2], (0, 241)), (SERVERS[3], (1,))])
def test_a_killed_worker_ends_a_server_that_starts_no_other(
    site: Site, command: str, statuses: tuple[int, ...]
) -> None:
    """hypercorn adds up its workers' statuses: one that has just started is ended by SIGTERM."""
    with serving(site, command, files()) as server:
        server.wait_for_workers()
        os.kill(server.client.save("one"), signal.SIGKILL)
        assert server.process.wait(60) in statuses
        server.assert_kept()


@pytest.mark.only_series("0.5")
def test_a_killed_server_leaves_nothing_behind(site: Site) -> None:
    with serving(site, SERVERS[0], files()) as server:
        server.client.save("one")
        server.end(signal.SIGKILL)
        server.assert_kept()


@pytest.mark.only_series("0.5")
def test_fastapi(site: Site) -> None:
    pytest.importorskip("fastapi")
    own = {"shop.py": ROUTER, "main.py": FASTAPI}
    with serving(site, SERVERS[0].replace("app:", "main:"), own) as server:
        server.client.save("one")
        assert server.end() in (0, -signal.SIGTERM)
        server.assert_kept()


WRAPPER = SERVERS[0].replace("app:app", "wrapped:application")


@pytest.mark.only_series("0.5")
@pytest.mark.parametrize(
    "kind", [REFUSES, "return", "return await send({'type': 'lifespan.startup.complete'})"]
)
def test_the_wrapper_speaks_for_an_application_without_a_lifespan(site: Site, kind: str) -> None:
    with serving(site, WRAPPER, files(kind=kind, **{"wrapped.py": WRAPPED})) as server:
        server.client.save("one")
        server.end()
        assert "Application shutdown complete" in server.log
        server.assert_kept()


@pytest.mark.only_series("0.5")
def test_the_wrapper_hands_the_applications_own_refusal_on(site: Site) -> None:
    with started(site, WRAPPER, files(kind=FAILS, **{"wrapped.py": WRAPPED})) as server:
        assert 3 == server.process.wait(60)
        assert "own" in server.log
        assert [] == server.daemons()


@pytest.mark.only_series("0.5")
def test_the_wrapper_refuses_what_cannot_be_recovered(site: Site) -> None:
    loses_its_database(site)
    wrapped = WRAPPED.replace("(application)", "(application, {'app.db': 'file:///dev/null/x'})")
    with started(site, WRAPPER, files(**{"wrapped.py": wrapped})) as server:
        assert 3 == server.process.wait(60)
        assert "litestream: " in server.log
        assert not server.client.saved


@pytest.mark.only_series("0.5")
def test_the_recommended_command(site: Site) -> None:
    plain = "from starlette.applications import Starlette\nfrom shop import routes\n"
    plain += "app = Starlette(routes=routes)\n"
    shop = SHOP.replace("assert request.state.litestream", "pass  #")
    command = f"{PAGE.commands()[0]} --port PORT"
    with serving(site, command, {**files(shop), "app.py": plain}) as server:
        server.client.save("one")
        assert 0 == server.end()
        server.assert_kept()


def test_lifespans_are_composed_once() -> None:
    once = litestream.starlette.lifespan()
    with pytest.raises(ConfigurationError, match="once"):
        litestream.starlette.lifespan(once)


@pytest.mark.only_series("0.5")
def test_a_cancelled_start_leaves_nothing_behind(site: Site) -> None:
    async def cancelled() -> None:
        async def start() -> None:
            async with litestream.asgi.replicating(site.config):
                raise AssertionError("not cancelled")

        task = asyncio.create_task(start())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert [] == daemons(site.directory)


@pytest.mark.only_series("0.5")
def test_a_recovery_that_hangs_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server cancels, and cancels again."""
    begun = threading.Event()

    def hang(**_: object) -> None:
        begun.set()
        while True:
            side_by_side.require_wanted()
            time.sleep(0.02)

    async def cancelled() -> None:
        async def start() -> None:
            async with litestream.asgi.replicating(site.config):
                raise AssertionError("not cancelled")

        task = asyncio.create_task(start())
        await asyncio.to_thread(begun.wait)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

    monkeypatch.setattr("litestream.asgi.recover", hang)
    asyncio.run(asyncio.wait_for(cancelled(), PATIENCE))
    assert [] == daemons(site.directory)


def test_what_is_recovered_is_what_is_replicated(make_site: Callable[..., Site]) -> None:
    """Also where a `$` of the config is a `$`."""
    site = make_site(name="app.db-$HOME.db")
    site.write(3)
    site.back_up()
    rows = site.rows()
    lose(site)

    async def serve() -> list[tuple[int, str]]:
        async with litestream.asgi.replicating(site.config, expand_env=False):
            return site.rows(site.database)

    assert asyncio.run(serve()) == rows


@pytest.mark.only_series("0.5")
def test_the_pages_code(site: Site, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(site.directory)
    (code,) = PAGE.code()
    exec(compile(code, "starlette.md", "exec"), {})
    assert "replicating\n" == capsys.readouterr().out
