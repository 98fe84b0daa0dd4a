"""Real servers, driven by a real HTTP client: gunicorn, uvicorn, Django's runserver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support import PATIENCE, Site, daemons, free_port, restored_values, wait_until

APPLICATION = """
import os, sqlite3
DATABASE = {database!r}
def insert(value):
    connection = sqlite3.connect(DATABASE, isolation_level=None, timeout=30)
    connection.execute("INSERT INTO items (value) VALUES (?)", (value,))
    connection.close()
    return str(os.getpid()).encode()
"""


class Client:
    """Sends rows over HTTP, and remembers those that the server said are saved."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.saved: list[str] = []

    def save(self, value: str) -> int:
        """Send a row and return the process id of the worker that saved it."""
        url = f"http://127.0.0.1:{self.port}/{value}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            pid = int(answer.read())
        self.saved.append(value)
        return pid

    def answers(self) -> bool:
        with suppress(OSError):
            return bool(self.save(f"probe-{time.monotonic_ns()}"))
        return False


@contextmanager
def serving(
    site: Site, files: dict[str, str], arguments: list[str], port: int
) -> Iterator[subprocess.Popen[bytes]]:
    for name, content in files.items():
        text = textwrap.dedent(content)
        text = text.replace("CONFIG", repr(str(site.config)))
        (site.directory / name).write_text(text)
    with (site.directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=site.directory,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: not daemons(site.directory), "the daemons' end")


def test_gunicorn(site: Site) -> None:
    pytest.importorskip("gunicorn")
    port = free_port()
    files = {
        "app.py": APPLICATION.format(database=str(site.database))
        + """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [insert(environ["PATH_INFO"][1:])]
""",
        "gunicorn.conf.py": """
            import litestream
            replication = litestream.Replication(CONFIG)
            def when_ready(server):
                replication.start()
            def on_exit(server):
                replication.stop()
        """,
    }
    arguments = ["-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "app:application"]
    client = Client(port)
    with serving(site, files, arguments, port) as server:
        wait_until(client.answers, "gunicorn")
        (first,) = wait_until(lambda: daemons(site.directory), "the daemon")
        worker = client.save("one")
        os.kill(worker, signal.SIGKILL)
        wait_until(client.answers, "another worker")
        server.send_signal(signal.SIGHUP)  # new workers
        wait_until(client.answers, "the new workers")
        assert daemons(site.directory) == [first]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: daemons(site.directory) not in ([], [first]), "another daemon")
        client.save("two")
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0
        assert daemons(site.directory) == []
        assert set(client.saved) <= restored_values(site)
    with serving(site, files, arguments, port) as server:
        wait_until(client.answers, "gunicorn")
        wait_until(lambda: daemons(site.directory), "the daemon")
        server.kill()
        wait_until(lambda: not daemons(site.directory), "the daemon's end", 20)


def test_uvicorn(site: Site) -> None:
    pytest.importorskip("uvicorn")
    port = free_port()
    files = {
        "app.py": APPLICATION.format(database=str(site.database))
        + """
import litestream
replication = litestream.Replication(CONFIG)
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        async with replication:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = insert(scope["path"][1:])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""
    }
    arguments = ["-m", "uvicorn", "--workers", "2", "--port", str(port), "app:application"]
    client = Client(port)
    with serving(site, files, arguments, port) as server:
        wait_until(client.answers, "uvicorn")
        (first,) = wait_until(lambda: daemons(site.directory), "the daemon")
        # The worker whose daemon it is: the daemon's keeper is the worker's child.
        keeper = parent(first)
        os.kill(parent(keeper), signal.SIGKILL)
        wait_until(lambda: daemons(site.directory) not in ([], [first]), "the takeover")
        wait_until(client.answers, "the other worker")
        assert len(daemons(site.directory)) == 1
        client.save("two")
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE)
        wait_until(lambda: not daemons(site.directory), "the daemon's end", 20)
        assert set(client.saved) <= restored_values(site)


def test_django_runserver_and_its_reloader(site: Site) -> None:
    pytest.importorskip("django")
    port = free_port()
    files = {
        "site_settings.py": """
            SECRET_KEY, DEBUG, ROOT_URLCONF = "x", True, "site_urls"
            ALLOWED_HOSTS, USE_TZ = ["*"], True
        """,
        "site_urls.py": APPLICATION.format(database=str(site.database))
        + """
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("<value>", lambda request, value: HttpResponse(insert(value)))]
""",
        "manage.py": """
            import os, sys
            os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
            if os.environ.get("RUN_MAIN") == "true":  # the reloader's child, which serves
                import litestream
                litestream.Replication(CONFIG).start()
            from django.core.management import execute_from_command_line
            execute_from_command_line(sys.argv)
        """,
    }
    client = Client(port)
    arguments = ["manage.py", "runserver", f"127.0.0.1:{port}"]
    with serving(site, files, arguments, port) as server:
        wait_until(client.answers, "runserver")
        (first,) = wait_until(lambda: daemons(site.directory), "the daemon")
        client.save("one")
        wait_until(lambda: reloading(site.directory), "the reloader")
        wait_until(lambda: daemons(site.directory) not in ([], [first]), "the reload")
        wait_until(client.answers, "the new server")
        client.save("two")
        os.killpg(server.pid, signal.SIGINT)
        server.wait(PATIENCE)
        wait_until(lambda: not daemons(site.directory), "the daemon's end", 20)
        assert set(client.saved) <= restored_values(site)


def reloading(directory: Path) -> bool:
    """Touch a module, and tell whether Django's reloader saw it.

    One touch may come before the reloader's first look at the file, which it then takes as given.
    """
    later = time.time() + 5
    os.utime(directory / "site_urls.py", (later, later))
    return "changed, reloading" in (directory / "server.log").read_text()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
