"""What the tests of replication share: raw daemons of both series, waiting, and databases."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    T = TypeVar("T")

VERSIONS = {"0.3": "0.3.13", "0.5": "0.5.17"}
_MACHINES = {"aarch64": "arm64"}
_PLATFORM = (
    ("macos" if platform.system() == "Darwin" else "linux")
    + "-"
    + _MACHINES.get(platform.machine(), platform.machine())
)


def executable(series: str) -> str:
    """Return the path of the fetched executable of a series."""
    path = Path(__file__).parents[1] / "vendor" / VERSIONS[series] / _PLATFORM / "litestream"
    assert path.exists(), f"{path} is missing: python build_wheels.py fetch --series all"
    return str(path)


def environment() -> dict[str, str]:
    """Return an environment in which the 0.5 S3 client works."""
    unwanted = ("AWS_", "LITESTREAM_", "LOG_LEVEL")
    return {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}


def wait_for(condition: Callable[[], T | None], timeout: float = 60.0, pause: float = 0.01) -> T:
    """Return what `condition` returns as soon as it is true."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s"
        time.sleep(pause)
    return value


def make_database(path: Path, rows: int = 10) -> None:
    """Make a database in WAL mode with a table `t(x)`."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE t (x INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(rows)])
        connection.commit()


def write_config(
    path: Path, database: Path, replica: Path, interval: str = "50ms", **top: object
) -> None:
    """Write a config that both series understand, for one database and a replica on disk."""
    import json

    content = {
        **top,
        "dbs": [
            {
                "path": str(database),
                "monitor-interval": interval,
                "replicas": [{"type": "file", "path": str(replica), "sync-interval": interval}],
            }
        ],
    }
    path.write_text(json.dumps(content))


@contextmanager
def daemon(series: str, config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a raw daemon; its log goes beside its config."""
    log = config.with_suffix(".log")
    with log.open("ab") as output:
        process = subprocess.Popen(
            [executable(series), "replicate", "-config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(),
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
