"""What each server loses while it is killed, reloaded, restarted or refused a start: a table.

    python -m benchmarks.servers [--series 0.5] [--life LIFE ...] [SERVER ...]

Each server has several lives, with two workers where it has them, while a client saves rows:

- ``ended``: proved by ``verify --exact``, then the workers are reloaded by SIGHUP, the daemon is
  killed, it is proved again, and SIGTERM ends it;
- ``worker``: the worker that answers is killed, and if the server goes on, SIGTERM ends it;
- ``killed``: SIGKILL for the master;
- ``rolling``: a second master (SIGUSR2), then the end of the first one (SIGQUIT; gunicorn);
- ``no backup``: the database is missing, a backup is expected, and there is none;
- ``down``, ``hangs``: the database is missing, and its replica, a real S3 server behind a proxy,
  refuses connections, or takes them and never answers;
- ``later``: the database is there, and its replica refuses connections until rows are saved.

After each but the refused ones the database is restored from the replica (after 0.3's ``killed``,
once the next daemon has sent what was left). A cell has the rows that
were saved (all of them came back, unless it says how many are lost), the exit status, and what was
not as it should be. Exit status 1: a row was lost, a second daemon ran, or a process was left.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from tests import servers, test_asgi, test_django, test_flask, test_gunicorn
from tests.proxy import Proxy
from tests.support import (
    S3_KEY,
    S3_SECRET,
    S3Server,
    Site,
    daemons,
    executable,
    restored_values,
    wait_until,
)

from litestream import Replication

if TYPE_CHECKING:
    from collections.abc import Callable

GUNICORN = test_gunicorn.COMMAND
FLASK = test_flask.RUN_GUNICORN.replace("--workers 2", "--workers 2 --bind 127.0.0.1:PORT")
SERVERS: dict[str, tuple[str, dict[str, str]]] = {
    "gunicorn sync": (GUNICORN, test_gunicorn.FILES),
    "gunicorn gthread": (f"{GUNICORN} -k gthread --threads 2", test_gunicorn.FILES),
    "gunicorn --preload": (f"{GUNICORN} --preload", test_gunicorn.FILES),
    "gunicorn asgi": (f"{GUNICORN} -k asgi", {**test_gunicorn.FILES, "app.py": test_gunicorn.ASGI}),
    "uvicorn": (test_asgi.SERVERS[0], test_asgi.files()),
    "uvicorn --workers 2": (test_asgi.SERVERS[1], test_asgi.files()),
    "hypercorn --workers 2": (test_asgi.SERVERS[2], test_asgi.files()),
    "granian --workers 2": (test_asgi.SERVERS[3], test_asgi.files()),
    "flask litestream run -- gunicorn": (FLASK, test_flask.FILES),
    "flask litestream run -- flask run": (f"{test_flask.RUN_FLASK} --port PORT", test_flask.FILES),
    "manage.py litestream run -- runserver": (
        f"{test_django.RUN_RUNSERVER} 127.0.0.1:PORT",
        test_django.project(),
    ),
}
_RELOADED = ("gunicorn", "uvicorn --workers", "granian")
"""Those that start new workers on SIGHUP, in one of these programs."""
_BY_FILE = (  # what an application says in Python, said by the site's config
    (r'\["LITESTREAM_REPLICAS"\] = .*', '["LITESTREAM_CONFIG"] = "litestream.yml"'),
    (r'\{"REPLICAS": .*\}', '{"CONFIG": "litestream.yml"}'),
)
_EXPECTING = (
    (r"hooks\(\)", 'hooks(expect="backup")'),
    (r"lifespan\(lifespan\)", 'lifespan(lifespan, expect="backup")'),
    (r"litestream run", "litestream run --expect backup"),
)
_REFUSAL = 240.0
"""Seconds that a refused start may take here."""


class Load:
    """A client that saves rows, and remembers the answers and the most daemons seen at once."""

    def __init__(self, server: servers.Server) -> None:
        self.server = server
        self.most = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            with suppress(OSError, ValueError, HTTPException):
                self.server.client.save(f"row-{time.monotonic_ns()}")
            if number % 20 == 0:  # a look at the process table takes as long as many rows
                self.most = max(self.most, len(self.server.daemons()))
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop saving."""
        self._stopped.set()
        self._thread.join()


class Case:
    """A server, its files, and a site that it replicates; one life of it."""

    def __init__(self, name: str, site: Site, proxy: Proxy | None) -> None:
        self.name, self.site, self.proxy = name, site, proxy
        self.command, files = SERVERS[name]
        self.files = {path: _changed(text, _BY_FILE) for path, text in files.items()}

    def ended(self) -> str:
        with servers.serving(self.site, self.command, self.files) as server:
            load = Load(server)
            try:
                server.assert_proved()
                self._torment(server)
                server.assert_proved()
            finally:
                load.stop()
            return self._told(server, load, server.end())

    def worker(self) -> str:
        if "workers" not in self.command:
            return "none"
        with servers.serving(self.site, self.command, self.files) as server:
            server.wait_for_workers()
            load = Load(server)
            try:
                lives_on = self._kill_worker(server)
                if lives_on:
                    server.wait_for_daemon()
                    server.assert_proved()
            finally:
                load.stop()
            if lives_on:
                return self._told(server, load, server.end())
            return f"{self._told(server, load, server.process.wait())} with its worker"

    def killed(self) -> str:
        with servers.serving(self.site, self.command, self.files) as server:
            load = Load(server)
            time.sleep(1)
            load.stop()
            return self._told(server, load, server.end(signal.SIGKILL))

    def rolling(self) -> str:
        if not self.name.startswith("gunicorn"):
            return "none"
        with servers.serving(self.site, f"{self.command} --pid pid", self.files) as server:
            first = server.wait_for_daemon()
            load = Load(server)
            try:
                server.process.send_signal(signal.SIGUSR2)
                second = self.site.directory / "pid.2"
                wait_until(second.exists, "the second master")
                wait_until(lambda: "litestream: standby" in server.log, "its standby")
                master = psutil.Process(int(second.read_text()))
                status = server.end(signal.SIGQUIT)
                server.wait_for_daemon(other_than=first)
                wait_until(server.client.answers, "the second master")
                server.assert_proved()
            finally:
                load.stop()
            master.terminate()
            wait_until(lambda: not psutil.pid_exists(master.pid), "the second master's end")
            return self._told(server, load, status)

    def no_backup(self) -> str:
        test_asgi.loses_its_database(self.site)
        files = {path: _changed(text, _EXPECTING) for path, text in self.files.items()}
        return self._refused(_changed(self.command, _EXPECTING), files)

    def down(self) -> str:
        return self._unreachable("down")

    def hangs(self) -> str:
        return self._unreachable("hang")

    def later(self) -> str:
        assert self.proxy is not None
        self.site.back_up()
        self.proxy.set("down")
        with servers.started(self.site, self.command, self.files) as server:
            server.wait_for_answers()
            load = Load(server)
            time.sleep(1)
            self.proxy.set("pass")
            server.wait_for_daemon()
            load.stop()
            return self._told(server, load, server.end())

    def _unreachable(self, mode: str) -> str:
        assert self.proxy is not None
        self.site.back_up()
        test_asgi.loses_its_database(self.site)
        self.proxy.set(mode)
        return self._refused(self.command, self.files)

    def _kill_worker(self, server: servers.Server) -> bool:
        """Kill the worker that answers; tell whether the server lives on."""
        victim = server.client.save("victim")
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(victim), "the worker's end")
        with suppress(AssertionError):
            server.wait_for_answers("another worker")
            time.sleep(1)
        return server.process.poll() is None

    def _torment(self, server: servers.Server) -> None:
        """Reload the workers, kill the daemon."""
        if any(word in self.command for word in _RELOADED):
            before = server.client.save("before")
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: not psutil.pid_exists(before), "the worker's end")
            server.wait_for_answers("the new workers")
        first = server.wait_for_daemon()
        with suppress(ProcessLookupError):
            os.kill(first, signal.SIGKILL)
        server.wait_for_daemon(other_than=first)
        server.wait_for_answers()

    def _told(self, server: servers.Server, load: Load, status: int) -> str:
        said = [f"{len(server.client.saved)} rows", f"status {status}"]
        with suppress(AssertionError):
            wait_until(lambda: not server.daemons(), "the daemon's end", 15)
        if server.daemons():
            said.append("its workers live on, and the daemon with them")
            with suppress(ProcessLookupError):
                os.killpg(server.process.pid, signal.SIGKILL)
        wait_until(lambda: not server.daemons(), "the daemon's end", 15)
        if self.proxy is not None:
            self.proxy.set("pass")
        if self.site.series == "0.3" and status == -signal.SIGKILL:
            with Replication(self.site.config) as replication:  # it sends what is left
                replication.sync()
        if lacking := set(server.client.saved) - restored_values(self.site):
            said.append(f"LOST {len(lacking)}")
        if load.most > 1:
            said.append(f"DAEMONS {load.most}")
        return ", ".join(said)

    def _refused(self, command: str, files: dict[str, str]) -> str:
        began = time.monotonic()
        with servers.started(self.site, command, files) as server:
            with suppress(AssertionError):
                wait_until(lambda: server.process.poll() is not None, "the end", _REFUSAL)
            status = server.process.poll()
            served = server.client.answers()
        ended = f"status {status}" if status is not None else "not ended"
        return f"{ended} after {time.monotonic() - began:.0f} s" + served * ", SERVED"


LIVES: dict[str, Callable[[Case], str]] = {
    "ended": Case.ended,
    "worker": Case.worker,
    "killed": Case.killed,
    "rolling": Case.rolling,
    "no backup": Case.no_backup,
    "down": Case.down,
    "hangs": Case.hangs,
    "later": Case.later,
}
_REMOTE = ("down", "hangs", "later")


def _changed(text: str, changes: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in changes:
        text = re.sub(pattern, replacement, text)
    return text


def _cell(name: str, life: str, series: str, server: S3Server) -> str:
    with ExitStack() as stack:
        directory = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="litestream-servers-"))
        )
        proxy, replica = None, None
        if life in _REMOTE:
            proxy = Proxy(int(server.endpoint.rpartition(":")[2]))
            stack.callback(proxy.close)
            replica = {**server.replica(), "endpoint": proxy.endpoint}
        site = Site(directory, series, replica=replica)
        stack.callback(site.close)
        try:
            said = LIVES[life](Case(name, site, proxy))
        except Exception as error:  # the next cell is to be measured all the same
            log = directory / "server.log"
            print(f"{name}, {life}: {error}\n{log.read_text() if log.exists() else ''}", flush=True)
            said = f"FAILED: {str(error).splitlines()[0][:60]}"
        return said + f", LEFT {len(left)}" if (left := daemons(directory)) else said


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("servers", nargs="*", metavar="SERVER", help="by default all")
    parser.add_argument("--series", default="0.5")
    parser.add_argument("--life", action="append", choices=LIVES, help="by default all")
    options = parser.parse_args()
    os.environ["LITESTREAM_INSTALL_DIR"] = str(executable(options.series).parent)
    os.environ["LITESTREAM_ACCESS_KEY_ID"] = S3_KEY
    os.environ["LITESTREAM_SECRET_ACCESS_KEY"] = S3_SECRET
    os.environ.pop("AWS_CA_BUNDLE", None)  # 0.5 cannot use it
    lives = options.life or list(LIVES)
    table = [f"| {options.series} | {' | '.join(lives)} |", "| --- " * (len(lives) + 1) + "|"]
    with tempfile.TemporaryDirectory(prefix="ls-s3-") as directory:
        buckets = Path(directory) / "buckets"
        buckets.mkdir()
        server = S3Server(buckets)
        try:
            for name in options.servers or SERVERS:
                cells = []
                for life in lives:
                    cells.append(_cell(name, life, options.series, server))
                    print(f"{name}, {life}: {cells[-1]}", flush=True)
                table.append(f"| `{name}` | {' | '.join(cells)} |")
        finally:
            server.stop()
    print(*table, sep="\n")
    return 1 if re.search("LOST|DAEMONS|LEFT|FAILED|SERVED", "".join(table)) else 0


if __name__ == "__main__":
    sys.exit(main())
