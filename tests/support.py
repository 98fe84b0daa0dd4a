"""What the tests share: a database with its config and daemon, a real S3 server, waiting."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from wheels import pins

from litestream._database.files import meta_path
from litestream._database.wal import committed_end
from litestream._settings import environment

PATIENCE = 120.0
"""Seconds that a condition may take on a loaded machine; nothing waits that long when it works."""

S3_KEY, S3_SECRET = "test-key-id", "test-secret-canary"
TOKENS = "SELECT count(*) FROM _litestream_verification"


def executable(series: str) -> Path:
    """Return the vendored executable of a series."""
    (pin,) = pins.read().chosen(series, "native")
    assert pin.is_fetched(), (
        "run 'python build_wheels.py fetch --series all' first (make test does)"
    )
    return pin.path


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Return the condition's first true value; fail when it does not come."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {patience:g} s in vain: {what}"
        time.sleep(0.02)


_FILES = {
    "0.3": ("generations/*/wal/*.wal.lz4", "generations/*/snapshots/*.snapshot.lz4"),
    "0.5": ("ltx/0/*.ltx", "ltx/9/*.ltx"),
}
"""What a replica holds as soon as it can be restored; and its snapshots."""


class Site:
    """A database in WAL mode, a config that replicates it, and a daemon for it.

    The intervals are short (50 ms) so that tests are; ``socket`` is the control socket's path
    (0.5 only, None without one).
    """

    def __init__(
        self,
        directory: Path,
        series: str,
        *,
        name: str = "app.db",
        replica: dict[str, Any] | None = None,
        interval: str = "50ms",
        socket: bool = False,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.series = series
        self.database = directory / name
        self.replica_path = directory / "replica"
        self.replica = replica or {"type": "file", "path": str(self.replica_path)}
        self.config = directory / "litestream.yml"
        # a socket's path may have 107 bytes at most, and pytest's directories are long
        self._run_directory = Path(tempfile.mkdtemp(prefix="ls-"))
        self.socket = self._run_directory / "s" if socket and series == "0.5" else None
        self.log = directory / "daemon.log"
        self.daemon: subprocess.Popen[bytes] | None = None
        self.configure(interval)
        self.connection = self._connect()
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.database, timeout=30, isolation_level=None)

    def take_over(self, other: Site) -> None:
        """Become a copy of another site that rests: its database, local state and replica."""
        self.connection.close()
        for path in (self.database, self.database.with_name(f"{self.database.name}-wal")):
            shutil.copy2(other.directory / path.name, path)
        for folder in (self.replica_path, Path(meta_path(self.database))):
            shutil.copytree(other.directory / folder.name, folder)
        shutil.copy2(other.log, self.log)
        self.connection = self._connect()
        self.count()  # SQLite opens the WAL at the first use

    def configure(self, interval: str, **top_level: Any) -> None:
        """Write the config."""
        content: dict[str, Any] = {
            "dbs": [
                {
                    "path": str(self.database),
                    "monitor-interval": interval,
                    "replicas": [{"sync-interval": interval, **self.replica}],
                }
            ],
            **top_level,
        }
        if self.socket:
            content["socket"] = {"enabled": True, "path": str(self.socket)}
        self.config.write_text(json.dumps(content, indent=2, ensure_ascii=False))

    def write(self, rows: int = 1, size: int = 20) -> None:
        """Commit rows, each in a transaction of its own."""
        for _ in range(rows):
            self.connection.execute(
                "INSERT INTO items (value) VALUES (?)", (secrets.token_hex(size),)
            )

    def count(self) -> int:
        """Return the number of rows in the source."""
        found: int = self.connection.execute("SELECT count(*) FROM items").fetchone()[0]
        return found

    def rows(self, database: Path | None = None) -> list[tuple[int, str]]:
        """Return the rows of a database (of the source, unless another is named)."""
        if database is None:
            return self.connection.execute("SELECT * FROM items ORDER BY id").fetchall()
        with contextlib.closing(
            sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        ) as connection:
            return connection.execute("SELECT * FROM items ORDER BY id").fetchall()

    def break_index(self) -> None:
        """Let an index disagree with its table, which only a full integrity check sees."""
        self.connection.execute("CREATE INDEX by_value ON items (value)")
        self.connection.execute("PRAGMA writable_schema=ON")
        self.connection.execute(
            "UPDATE sqlite_schema SET sql = 'CREATE INDEX by_value ON items (id)' "
            "WHERE name = 'by_value'"
        )

    def start(self) -> None:
        """Start a daemon; it is up when this returns, but may have replicated nothing yet."""
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                [executable(self.series), "replicate", "-config", self.config, "-no-expand-env"],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._is_up, "the daemon's start")

    def _is_up(self) -> bool:
        assert self.daemon is not None
        assert self.daemon.poll() is None, self.log.read_text()
        if self.socket:
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
                return client.connect_ex(str(self.socket)) == 0
        return "replicating to" in self.log.read_text()

    def wait_for_backup(self, *, snapshot: bool = False) -> None:
        """Wait until the replica can be restored; 0.5 makes its snapshot a second later."""
        wait_until(lambda: self._is_backed_up(snapshot=snapshot), "the first backup")

    def _is_backed_up(self, *, snapshot: bool) -> bool:
        from litestream import commands

        if json.dumps(str(self.replica_path), ensure_ascii=False) in self.config.read_text():
            return any(self.replica_path.glob(_FILES[self.series][snapshot]))
        listing = commands.snapshots if snapshot else commands.wal
        return bool(listing(self.database, config=self.config, expand_env=False))

    def back_up(self, *, snapshot: bool = False) -> None:
        """Run a daemon until everything is in the replica."""
        self.start()
        self.wait_for_backup(snapshot=snapshot)
        self.stop()

    def stop(self) -> None:
        """Stop the daemon after its final sync."""
        if self.daemon is None:
            return
        self.daemon.terminate()
        try:
            self.daemon.wait(PATIENCE)
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill the daemon."""
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()
            self.daemon = None

    def close(self) -> None:
        """Leave nothing running and no file outside the test's directory."""
        self.kill()
        self.connection.close()
        shutil.rmtree(self._run_directory, ignore_errors=True)


def restored(site: Site) -> list[tuple[int, str]]:
    """Restore a site's database beside it, and return the rows that came back."""
    from litestream import commands

    output = site.directory / f"restored-{time.monotonic_ns()}.db"
    return site.rows(commands.restore(site.database, output, config=site.config))


def restored_values(site: Site) -> set[str]:
    """Return the values alone that came back."""
    return {value for _, value in restored(site)}


def tokens(site: Site) -> int:
    """Return the number of rows that verifications have left in a site's database."""
    with contextlib.suppress(sqlite3.OperationalError):  # no such table
        return int(site.connection.execute(TOKENS).fetchone()[0])
    return 0


class S3Server:
    """A real S3 server on loopback (``rclone serve s3``), one folder a bucket."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        log = directory.with_suffix(".log")
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    Path(sys.executable).parent / "rclone",
                    *("--config", "/dev/null", "serve", "s3", directory),
                    *("--addr", "127.0.0.1:0"),
                    *("--auth-key", f"{S3_KEY},{S3_SECRET}"),
                    # buckets are made while it runs; with 0, rclone 1.75 stalls for seconds
                    *("--dir-cache-time", "1ms"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            (self.endpoint,) = wait_until(
                lambda: re.findall(r"http://127\.0\.0\.1:\d+", log.read_text()), "rclone's start"
            )
        except BaseException:
            self.stop()
            raise

    def replica(self, bucket: str | None = None) -> dict[str, Any]:
        """Make a bucket and return a replica of the config that uses it, without its keys."""
        name = bucket or f"bucket-{secrets.token_hex(6)}"
        (self.directory / name).mkdir(exist_ok=True)
        return {
            "type": "s3",
            "bucket": name,
            "path": "app",
            "region": "us-east-1",
            "endpoint": self.endpoint,
            "force-path-style": True,
        }

    def pause(self) -> None:
        """Let the server accept and never answer."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the server answer again."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop the server."""
        self._process.terminate()
        self._process.wait()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens at this moment."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def daemons(directory: Path) -> list[int]:
    """Return the daemons whose config, or whose control socket, is a config's below a directory."""
    return [pid for pid, argv in _processes() if _replicates(argv, directory)]


def _replicates(argv: list[str], directory: Path) -> bool:
    with contextlib.suppress(OSError):
        if len(argv) > 3 and argv[1] == "replicate":
            return str(directory) in Path(argv[3]).read_text()
    return False


def processes_of(site: Site) -> list[int]:
    """Return the ids of the processes that have a site's config on their command line."""
    return [pid for pid, argv in _processes() if str(site.config) in argv]


def _processes() -> Iterator[tuple[int, list[str]]]:
    for process in psutil.process_iter(["cmdline"]):
        yield process.pid, process.info["cmdline"] or []


def assert_signal_ends(site: Site, number: int, argv: Sequence[str | Path]) -> None:
    """Run a program that replicates; a signal must end it and its daemon, after a final sync."""
    with site.log.open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        wait_until(lambda: "replicating to" in site.log.read_text(), "the daemon's start")
        site.write(3)
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        left = processes_of(site)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert left == []
    assert "litestream shut down" in site.log.read_text()


@contextlib.contextmanager
def writing(site: Site, pause: float = 0.003) -> Iterator[None]:
    """Write and update rows from another process for as long as the block runs."""
    script = f"""
import signal, sqlite3, time
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
connection = sqlite3.connect({str(site.database)!r}, timeout=30, isolation_level=None)
number = 0
print("ready", flush=True)
while not stopped:
    number += 1
    connection.execute("INSERT INTO items (value) VALUES (?)", ("w" * 200,))
    if number % 5 == 0:
        connection.execute("UPDATE items SET value = value || ? WHERE id = "
                           "(SELECT abs(random()) % max(id) + 1 FROM items)", (str(number),))
    time.sleep({pause})
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        process.terminate()
        assert process.wait(PATIENCE) == 0, "the writer died"
    finally:
        # killed in a commit, it would leave a transaction that only Litestream sees
        process.kill()
        process.communicate()


def die_in_commit(database: Path, *statements: str) -> None:
    """Leave in a database's WAL what a writer leaves that is killed inside COMMIT.

    The transaction is made on a copy of the database and its WAL; its frames, checksums and all,
    are then put behind the last commit of the original. The wal-index knows nothing of them.
    """
    wal = Path(f"{database}-wal")
    with tempfile.TemporaryDirectory(prefix="ls-") as name:
        copy = Path(name) / database.name
        shutil.copyfile(database, copy)
        shutil.copyfile(wal, f"{copy}-wal")
        end = committed_end(wal)
        assert end is not None
        os.truncate(f"{copy}-wal", end.offset)
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute("BEGIN")
            for statement in statements:
                connection.execute(statement)
            connection.execute("COMMIT")
            frames = Path(f"{copy}-wal").read_bytes()[end.offset :]
        assert frames
        with wal.open("r+b") as file:
            file.seek(end.offset)
            file.write(frames)
