"""What each server loses while it is killed, reloaded and restarted beside its daemon: a table.

    .venv/bin/python benchmarks/servers.py [--series 0.5] [SERVER ...]

Each server runs twice, with two workers where it has them, while a client saves rows. First life: a
worker is killed, the workers are reloaded (SIGHUP, gunicorn), the daemon is killed, then SIGTERM.
Second life: the master is killed. Then the database is restored from the replica. Printed are the
rows that were saved, those that the replica lacks, the daemons that ran at once at most, what was
left running, and the exit status.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
from tests import servers, test_asgi, test_django, test_flask, test_gunicorn
from tests.support import Site, daemons, executable, restored_values, wait_until

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
            with suppress(OSError, ValueError):
                self.server.client.save(f"row-{time.monotonic_ns()}")
            if number % 20 == 0:  # a look at the process table takes as long as many rows
                self.most = max(self.most, len(self.server.daemons()))
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop saving."""
        self._stopped.set()
        self._thread.join()


def live(site: Site, command: str, files: dict[str, str], *, killed: bool) -> tuple[int, int, int]:
    """Let a server live once; return rows saved, rows lacking, and the most daemons at once."""
    with servers.serving(site, command, files) as server:
        load = Load(server)
        try:
            if not killed:
                torment(server)
            time.sleep(1)
        finally:
            load.stop()
        status = server.end(signal.SIGKILL if killed else signal.SIGTERM)
        with suppress(AssertionError):
            wait_until(lambda: not server.daemons(), "the daemon's end", 15)
        if killed and server.daemons():
            print("    its workers live on, and the daemon with them")
            with suppress(ProcessLookupError):
                os.killpg(server.process.pid, signal.SIGKILL)
        wait_until(lambda: not server.daemons(), "the daemon's end", 15)
        lacking = set(server.client.saved) - restored_values(site)
        print(f"    {'SIGKILL' if killed else 'SIGTERM'}: exit status {status}")
        return len(server.client.saved), len(lacking), load.most


def torment(server: servers.Server) -> None:
    """Kill a worker, reload gunicorn's, kill the daemon."""
    victims = [pid for pid in server.workers() if psutil.pid_exists(pid)]
    if len(victims) > 1:
        os.kill(victims[0], signal.SIGKILL)
        server.wait_for_answers()
    if (server.site.directory / "gunicorn.conf.py").exists():
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_answers()
    first = server.wait_for_daemon()
    with suppress(ProcessLookupError):
        os.kill(first, signal.SIGKILL)
    server.wait_for_daemon(other_than=first)
    server.wait_for_answers()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("servers", nargs="*", metavar="SERVER", help="by default all")
    parser.add_argument("--series", default="0.5")
    options = parser.parse_args()
    os.environ["LITESTREAM_INSTALL_DIR"] = str(executable(options.series).parent)
    for name in options.servers or SERVERS:
        command, files = SERVERS[name]
        with tempfile.TemporaryDirectory(prefix="litestream-servers-") as directory:
            site = Site(Path(directory), options.series)
            try:
                found = [live(site, command, files, killed=killed) for killed in (False, True)]
            finally:
                site.close()
            left = len(daemons(Path(directory)))
        saved, lacking = sum(f[0] for f in found), sum(f[1] for f in found)
        most = max(f[2] for f in found)
        print(
            f"{name:38} saved {saved:5}  lost {lacking}  daemons at once {most}  left {left}",
            flush=True,
        )


if __name__ == "__main__":
    main()
