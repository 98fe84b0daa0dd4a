"""``litestream.gunicorn`` in real gunicorns; the files are those of docs/gunicorn.md."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from tests.servers import WSGI, Page, serving, started
from tests.support import Site, wait_until

pytest.importorskip("gunicorn")
import litestream.gunicorn

PAGE = Page("gunicorn")
BY_FILE, BY_MAPPING, OWN_HOOKS = PAGE.files("gunicorn.conf.py")
FILES = {"app.py": WSGI, "gunicorn.conf.py": BY_FILE}
COMMAND = PAGE.commands()[0] + " --bind 127.0.0.1:PORT"
ASGI = """
    from rows import insert
    async def application(scope, receive, send):
        assert scope["type"] == "http"
        body = insert(scope["path"][1:])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""


def test_what_a_master_lives_through(site: Site) -> None:
    with serving(site, COMMAND, FILES) as server:
        first = server.wait_for_daemon()
        os.kill(server.client.save("one"), signal.SIGKILL)
        server.wait_for_answers("another worker")
        before = set(server.workers())
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not before & set(server.workers()), "the new workers")
        server.wait_for_answers("the new workers")
        assert [first] == server.daemons()
        os.kill(first, signal.SIGKILL)
        server.wait_for_daemon(other_than=first)
        server.client.save("two")
        server.assert_proved()
        assert 0 == server.end()
        server.assert_kept()


@pytest.mark.only_series("0.5")
@pytest.mark.parametrize("kind", ["gthread --threads 2", "sync --preload", "asgi"])
def test_each_worker_recovers_and_replicates(replicated: Site, kind: str) -> None:
    replicated.connection.close()
    for file in replicated.directory.glob("app.db*"):
        file.unlink()
    files = {**FILES, "app.py": ASGI if kind == "asgi" else WSGI + CREATES}
    with serving(replicated, f"{COMMAND} --worker-class {kind}", files) as server:
        server.assert_proved()
        assert 0 == server.end()
        server.assert_kept()


CREATES = """
import sqlite3
sqlite3.connect("app.db").execute("SELECT * FROM items").fetchone()  # it would be created empty
"""


@pytest.mark.only_series("0.5")
def test_a_killed_master_leaves_nothing_behind(site: Site) -> None:
    with serving(site, COMMAND, FILES) as server:
        server.client.save("one")
        server.process.kill()
        server.process.wait()
        server.assert_kept()


@pytest.mark.only_series("0.5")
def test_a_rolling_restart_hands_over(site: Site) -> None:
    with serving(site, f"{COMMAND} --pid server.pid", FILES) as server:
        first = server.wait_for_daemon()
        server.process.send_signal(signal.SIGUSR2)
        second = site.directory / "server.pid.2"
        wait_until(second.exists, "the second master")
        wait_until(lambda: "litestream: standby" in server.log, "its standby")
        master = psutil.Process(int(second.read_text()))
        assert 0 == server.end(signal.SIGQUIT)
        server.wait_for_daemon(other_than=first)
        wait_until(server.client.answers, "the second master")
        server.assert_proved()
        master.terminate()
        wait_until(lambda: not psutil.pid_exists(master.pid), "the second master's end")
        server.assert_kept()


@pytest.mark.only_series("0.5")
def test_a_second_server_stands_by(site: Site) -> None:
    with serving(site, COMMAND, FILES) as server, started(site, COMMAND, {}) as other:
        other.wait_for_answers()
        wait_until(lambda: "litestream: standby" in other.log, "its standby")
        assert 1 == len(server.daemons())
        assert 0 == server.end()
        other.wait_for_daemon()
        other.client.save("after")
        assert 0 == other.end()
        other.assert_kept()


@pytest.mark.only_series("0.5")
def test_own_hooks_and_options(replicated: Site) -> None:
    own = "import litestream.gunicorn as own\nwhen_ready, on_exit = own.hooks(on_exit=print)"
    with serving(replicated, COMMAND, {**FILES, "gunicorn.conf.py": OWN_HOOKS}) as server:
        assert "replicated, and not served yet" in server.log
        (replicated.directory / "gunicorn.conf.py").write_text(own)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "has other arguments for hooks()" in server.log, "the warning")
        assert 0 == server.end()
        assert "<gunicorn.arbiter.Arbiter" in server.log
        server.assert_kept()


@pytest.mark.only_series("0.5")
@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        (OWN_HOOKS, "no matching backup files available"),
        (BY_MAPPING.replace("/srv/backups/app", "/dev/null/app"), "/dev/null/app"),
        (BY_MAPPING.replace("file:///srv/backups/app", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_recovered_is_not_served(
    site: Site, configuration: str, message: str
) -> None:
    site.connection.close()
    site.database.unlink()
    with started(site, COMMAND, {**FILES, "gunicorn.conf.py": configuration}) as server:
        assert 1 == server.process.wait(60)
        assert message in server.log
        assert "Booting worker" not in server.log


@pytest.mark.only_series("0.5")
def test_another_databases_backup_is_not_written_over(replicated: Site) -> None:
    for state in replicated.directory.glob(".app.db-litestream"):
        state.rename(replicated.directory / "elsewhere")
    with started(replicated, COMMAND, FILES) as server:
        assert 1 == server.process.wait(60)
        assert "already holds backups" in server.log
        assert "Traceback" not in server.log
        assert "Booting worker" not in server.log


@pytest.mark.only_series("0.5")
@pytest.mark.parametrize("preload", ["", "--preload"])
def test_the_application_may_not_call_it(site: Site, preload: str) -> None:
    files = {**FILES, "app.py": f"import litestream.gunicorn\nlitestream.gunicorn.hooks()\n{WSGI}"}
    with started(site, f"{COMMAND} {preload}", files) as server:
        assert server.process.wait(60) != 0
        assert "Call it in gunicorn.conf.py" in server.log


def test_elsewhere_it_is_refused() -> None:
    with pytest.raises(litestream.ConfigurationError, match="not gunicorn"):
        litestream.gunicorn.hooks()
