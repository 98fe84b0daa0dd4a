"""The lab of one trial: a database, its config, a bare daemon, and what is restored."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upstream.oracle import difference

FOREIGN = ("LITESTREAM_", "AWS_", "GOOGLE_", "AZURE_", "LOG_LEVEL")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)},
    "AWS_ACCESS_KEY_ID": "probe",
    "AWS_SECRET_ACCESS_KEY": "probe",
}
SCHEMA = """
CREATE TABLE t(id INTEGER PRIMARY KEY, v);
CREATE TABLE u(id INTEGER PRIMARY KEY, v);
CREATE INDEX by_v ON u(v);
CREATE TABLE plain(v);
PRAGMA user_version=7;
"""
WRITER = """
import os, random, sqlite3, sys, time
database, stop, pause, seed = sys.argv[1:]
source = random.Random(seed)
connection = sqlite3.connect(database, isolation_level=None, timeout=30)
number = 0
print("ready", flush=True)
while not os.path.exists(stop):
    number += 1
    connection.execute("INSERT INTO u(v) VALUES(?)", (source.randbytes(source.choice((20, 400))),))
    if number % 3 == 0:
        values = f"{seed} {number}", source.randint(1, 300)
        connection.execute("UPDATE t SET v=? WHERE id=?", values)
    if number % 7 == 0:
        connection.execute("DELETE FROM u WHERE id=(SELECT min(id) FROM u)")
    time.sleep(float(pause) * source.uniform(0.5, 1.5))
"""


@dataclass(frozen=True)
class Release:
    """One executable under examination."""

    version: str
    executable: Path

    @property
    def number(self) -> tuple[int, ...]:
        """Its version, to be compared."""
        return tuple(int(part) for part in self.version.split("-")[0].split("."))


@contextmanager
def laboratory(release: Release, seed: str) -> Iterator[Lab]:
    """Give a lab in a folder of its own, and leave no process and no file of it."""
    folder = Path(tempfile.mkdtemp(prefix="ls-probe-"))
    lab = Lab(release, folder, random.Random(seed))
    try:
        yield lab
    finally:
        for process in lab.processes:
            process.kill()
            process.communicate()
        for connection in lab.connections:
            connection.close()
        shutil.rmtree(folder, ignore_errors=True)


class Lab:
    """A database, a config that replicates it into a folder, and a bare daemon."""

    def __init__(self, release: Release, folder: Path, source: random.Random) -> None:
        self.release, self.folder, self.source = release, folder, source
        self.database, self.replica = folder / "app.db", folder / "replica"
        self.config, self.log, self.socket = folder / "l.yml", folder / "log", folder / "s"
        self.processes: list[subprocess.Popen[str]] = []
        self.connections: list[sqlite3.Connection] = []
        self.daemon: subprocess.Popen[str] | None = None
        self.flags: tuple[str, ...] = ()

    @property
    def is_03(self) -> bool:
        """Whether the executable is of series 0.3."""
        return self.release.number < (0, 5)

    def configure(
        self,
        interval: str = "100ms",
        *,
        key: str = "replicas",
        replica: dict[str, Any] | None = None,
        database: dict[str, Any] | None = None,
        top: dict[str, Any] | None = None,
    ) -> None:
        """Write the config; `replica`, `database` and `top` add to the keys of each level."""
        where: dict[str, Any] = {"type": "file", "path": str(self.replica)}
        where.update({"sync-interval": interval, **(replica or {})})
        entry = {"path": str(self.database), "monitor-interval": interval, **(database or {})}
        entry[key] = [where] if key == "replicas" else where
        socket = {"enabled": True, "path": str(self.socket)}
        self.config.write_text(json.dumps({"dbs": [entry], "socket": socket, **(top or {})}))

    def create(self, path: Path | None = None, rows: int = 300) -> sqlite3.Connection:
        """Create a database in WAL mode and return a connection to it."""
        connection = self.connect(path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(SCHEMA)
        connection.execute("BEGIN")
        values = [("x" * 100,)] * rows
        for table in ("t", "u", "plain"):
            connection.executemany(f"INSERT INTO {table}(v) VALUES(?)", values)
        connection.execute("COMMIT")
        return connection

    def connect(self, path: Path | None = None) -> sqlite3.Connection:
        """Open a database; the lab closes it."""
        connection = sqlite3.connect(
            path or self.database, isolation_level=None, timeout=30, check_same_thread=False
        )
        self.connections.append(connection)
        return connection

    def write(self, rows: int = 20, value: str = "later") -> None:
        """Commit rows, each in a transaction of its own, through a connection of the lab."""
        for number in range(rows):
            self.connections[-1].execute("INSERT INTO u(v) VALUES(?)", (f"{value} {number}",))

    def spawn(self, argv: list[Any], **options: Any) -> subprocess.Popen[str]:
        """Start a process that the lab kills."""
        process = subprocess.Popen(
            argv, env=ENVIRONMENT, stdin=subprocess.DEVNULL, text=True, **options
        )
        self.processes.append(process)
        return process

    def start(self) -> subprocess.Popen[str]:
        """Start a daemon and wait until it says that it replicates."""
        before = self.said()
        argv = [self.release.executable, "replicate", "-config", self.config, *self.flags]
        with self.log.open("a") as log:
            self.daemon = self.spawn(argv, stdout=log, stderr=subprocess.STDOUT)
        daemon = self.daemon
        self.wait(
            lambda: "replicating to" in self.said()[len(before) :] or daemon.poll() is not None
        )
        return daemon

    def said(self) -> str:
        """Return what the daemons have logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def logged_errors(self) -> str:
        """Say how many errors were logged."""
        lines = [line for line in self.said().splitlines() if "level=ERROR" in line]
        return f"{len(lines)} errors in the log" if lines else "no error in the log"

    def end(self, number: int = signal.SIGTERM, process: Any = None) -> int:
        """End the daemon (or a process) by a signal; return its exit status."""
        process = process or self.daemon
        process.send_signal(number)
        try:
            status: int = process.wait(40)
        except subprocess.TimeoutExpired:  # 0.3 may hang; what it wrote is compared all the same
            process.kill()
            status = process.wait()
        return status

    def restart(self, number: int = signal.SIGTERM) -> None:
        """End the daemon and start another at once."""
        self.end(number)
        self.start()

    def run(self, *arguments: Any, limit: float = 60) -> subprocess.CompletedProcess[str]:
        """Run the executable to its end."""
        return subprocess.run(
            [self.release.executable, *arguments],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
        )

    def restore(self, output: Path, *flags: Any) -> subprocess.CompletedProcess[str]:
        """Restore by the config."""
        options = ("-config", self.config, *self.flags, "-o", output, *flags)
        return self.run("restore", *options, self.database)

    def difference(self, patience: float = 8.0, stale: float = 30.0) -> str:
        """Restore and compare until it is equal to the database, or patience is at its end.

        While a last commit is missing, a slow machine may be why: `stale` seconds may pass.
        """
        begun = time.monotonic()
        mark = ""
        if self.daemon is not None and self.daemon.poll() is None and patience:
            mark = f"mark {time.monotonic_ns()}"
            with closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
                connection.execute("INSERT INTO plain VALUES(?)", (mark,))
        while True:
            output = self.folder / f"restored-{time.monotonic_ns()}.db"
            restore = self.restore(output)
            marked = not mark or not output.exists() or _holds(output, mark)
            found = self.compare(restore, output, self.database)
            if not found or time.monotonic() - begun > (patience if marked else stale):
                return found
            time.sleep(0.4)

    def compare(
        self, restore: subprocess.CompletedProcess[str], output: Path, expected: Path
    ) -> str:
        """Say how a restored file differs from a database."""
        if not output.exists():
            lines = (restore.stderr + restore.stdout).strip().splitlines()
            said = lines[-1].split("error=")[-1][-160:] if lines else "no file"
            return f"restore exits {restore.returncode}: {said}"
        try:
            found = difference(expected, output)
        finally:
            for file in self.folder.glob(f"{output.name}*"):
                file.unlink()
        status = "" if restore.returncode == 0 else f" (exit status {restore.returncode})"
        return f"{found}{status}" if found else ""

    def back_up(self) -> None:
        """Start a daemon and wait until its replica is equal to the database.

        0.5 copies the whole database once more a second later, which would mend what is probed.
        """
        self.start()
        if not self.is_03:
            self.wait(lambda: "snapshot complete" in self.said(), 4)
        found = self.difference(20)
        assert not found, f"no right backup to begin with: {found}"

    def wait(self, condition: Callable[[], Any], patience: float = 30) -> Any:
        """Return the condition's first true value, and the last one when patience is at its end."""
        deadline = time.monotonic() + patience
        while not (value := condition()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return value

    @contextmanager
    def writing(self, per_second: float, writers: int = 4) -> Iterator[None]:
        """Let other processes write for as long as the block runs."""
        stop = self.folder / "stop"
        stop.unlink(missing_ok=True)
        started = [
            self.spawn(
                [
                    sys.executable,
                    "-c",
                    WRITER,
                    self.database,
                    stop,
                    str(writers / per_second),
                    str(n),
                ],
                stdout=subprocess.PIPE,
            )
            for n in range(writers)
        ]
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        try:
            yield
        finally:
            stop.touch()
            statuses = [process.wait(60) for process in started]
        assert not any(statuses), f"writers ended with {statuses}"

    def count(self) -> int:
        """Return the newest row's number in the table that writers insert into."""
        newest: int = self.connections[0].execute("SELECT max(id) FROM u").fetchone()[0]
        return newest


def _holds(database: Path, mark: str) -> bool:
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return (mark,) in connection.execute("SELECT v FROM plain").fetchall()
    except sqlite3.DatabaseError:  # damaged: no time mends that
        return True
