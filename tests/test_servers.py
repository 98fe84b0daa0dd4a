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

import psutil
import pytest

from tests.support import PATIENCE, Site, daemons, free_port, restored_values, wait_until

ROWS = """
import os, sqlite3
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
    site: Site, files: dict[str, str], arguments: str
) -> Iterator[tuple[subprocess.Popen[bytes], Client, int]]:
    """Run a server: its process, a client of it, and the daemon's process id, all of them up."""
    for name, content in {"rows.py": ROWS, **files}.items():
        text = textwrap.dedent(content)
        text = text.replace("CONFIG", repr(str(site.config)))
        text = text.replace("DATABASE", repr(str(site.database)))
        (site.directory / name).write_text(text)
    client = Client(free_port())
    with (site.directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments.replace("PORT", str(client.port)).split()],
            cwd=site.directory,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until(client.answers, "the server")
        (daemon,) = wait_until(lambda: daemons(site.directory), "the daemon")
        yield process, client, daemon
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: not daemons(site.directory), "the daemons' end")


def test_django_runserver_and_its_reloader(site: Site) -> None:
    pytest.importorskip("django")
    files = {
        "site_settings.py": """
            SECRET_KEY, DEBUG, ROOT_URLCONF = "x", True, "site_urls"
            ALLOWED_HOSTS, USE_TZ = ["*"], True
        """,
        "site_urls.py": """
            from django.http import HttpResponse
            from django.urls import path
            from rows import insert
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
    with serving(site, files, "manage.py runserver 127.0.0.1:PORT") as (server, client, first):
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
    return psutil.Process(pid).ppid()
