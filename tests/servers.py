"""Real servers and a real HTTP client, and the pages of the manual that say how to start them."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import psutil

import litestream
from tests.support import PATIENCE, Site, daemons, free_port, restored_values, wait_until

DOCS = Path(__file__).parent.parent / "docs"
SCRIPTS = Path(sys.executable).parent
ROWS = """
import os, sqlite3
def insert(value):
    connection = sqlite3.connect("app.db", isolation_level=None, timeout=30)
    connection.execute("INSERT INTO items (value) VALUES (?)", (value,))
    connection.close()
    return str(os.getpid()).encode()
"""
WSGI = """
from rows import insert
def application(environ, start_response):
    body = insert(environ["PATH_INFO"][1:])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


class Page:
    """A page of the manual: its blocks of code, and those of them that are files."""

    def __init__(self, name: str) -> None:
        self.text = (DOCS / name).read_text() if "." in name else (DOCS / f"{name}.md").read_text()
        found = re.findall(r"^```(\w+)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)
        self.blocks: list[tuple[str, str]] = found

    def files(self, name: str) -> list[str]:
        """Return the blocks that are a file of this name: it is their first line."""
        found = [body for _, body in self.blocks if body.startswith(f"# {name}\n")]
        assert found, name
        return found

    def code(self) -> list[str]:
        """Return the Python blocks that are no file."""
        named = re.compile(r"# \S+\.(py|yml)\n")
        return [body for kind, body in self.blocks if kind == "python" and not named.match(body)]

    def commands(self) -> list[str]:
        """Return the lines of the shell blocks, their comments cut off."""
        lines = [line for kind, body in self.blocks if kind == "sh" for line in body.splitlines()]
        return [found for line in lines if (found := line.split("  #")[0].strip())]


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
        """Tell whether a row was saved; one that may have been counts as not."""
        with suppress(OSError, ValueError, HTTPException):
            return bool(self.save(f"probe-{time.monotonic_ns()}"))
        return False


class Server:
    """A server in a site's directory: its process, its client, and the daemons beside it."""

    def __init__(
        self,
        site: Site,
        command: str | Sequence[str],
        files: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.site = site
        for name, content in {"rows.py": ROWS, **files}.items():
            path = site.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(adapted(content, site))
        self.client = Client(free_port())
        self._log = site.directory / "server.log"
        argv = shlex.split(command) if isinstance(command, str) else list(command)
        argv = [word.replace("PORT", str(self.client.port)) for word in argv]
        if (SCRIPTS / argv[0]).exists():
            argv[0] = str(SCRIPTS / argv[0])
        variables = {**os.environ, **(environment or {})}
        variables["PATH"] = f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                argv,
                cwd=site.directory,
                env=variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        """Return what the server has printed."""
        return self._log.read_text()

    def wait_for_answers(self, what: str = "the server") -> None:
        """Return when the server saves rows; fail when it has ended."""

        def answered() -> bool:
            assert self.process.poll() is None, self.log
            return self.client.answers()

        wait_until(answered, what)

    def daemons(self) -> list[int]:
        """Return the process ids of the daemons that replicate the site."""
        return daemons(self.site.directory)

    def wait_for_daemon(self, other_than: int = 0) -> int:
        """Return the one daemon's process id, once there is one and it is another one."""
        wait_until(lambda: self.daemons() not in ([], [other_than]), f"a daemon: {self.log}")
        wait_until(lambda: len(self.daemons()) == 1, f"one daemon: {self.log}")
        wal = Path(f"{self.site.database}-wal")
        wait_until(wal.exists, f"its first look at the database: {self.log}")
        return self.daemons()[0]

    def wait_for_workers(self) -> None:
        """Return when both workers of an ASGI server serve: told to end before, granian hangs."""
        up = re.compile("Application startup complete|Running on http|Started worker-|Booting")
        wait_until(lambda: len(up.findall(self.log)) >= 2, f"both workers: {self.log}")

    def workers(self) -> list[int]:
        """Return the process ids of the server's children that serve, or may soon."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):
                if "_supervision.keeper" not in " ".join(child.cmdline()):
                    found.append(child.pid)
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the server a signal, and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def assert_kept(self) -> None:
        """Assert that no daemon is left, and that every row that was saved is in the replica."""
        wait_until(lambda: not self.daemons(), "the daemon's end", 20)
        assert set(self.client.saved) <= restored_values(self.site)

    def assert_proved(self) -> None:
        """Assert that the replica holds what the database does, while the server runs."""
        assert litestream.verify(self.site.database, exact=True, config=self.site.config)

    def close(self) -> None:
        """Leave no process behind."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: not self.daemons(), "the daemons' end")


def adapted(content: str, site: Site) -> str:
    """Return a file of a page for a site: the replica of /srv/backups is the site's."""
    return textwrap.dedent(content).replace("/srv/backups/app", str(site.replica_path))


@contextmanager
def started(
    site: Site,
    command: str | Sequence[str],
    files: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a server; it may not be up yet, or refuse to start."""
    server = Server(site, command, files, environment)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def serving(
    site: Site,
    command: str | Sequence[str],
    files: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a server that saves rows, with one daemon beside it."""
    with started(site, command, files, environment) as server:
        server.wait_for_answers()
        server.wait_for_daemon()
        yield server
