"""Ends of all kinds: no orphan, nothing committed missing, one daemon, quick takeovers.

python -m benchmarks.lifetimes --series 0.5 --kills 50 --terms 50 --interrupts 20 --takeovers 20
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from tests.support import daemons, executable

from litestream import commands

APPLICATION = """
import litestream, sqlite3, sys, time
database, folder = sys.argv[1:3]
connection = sqlite3.connect(database, isolation_level=None, timeout=30)
replication = litestream.Replication({database: f"file://{folder}/replica"},
                                     sync_interval=0.05)
replication.start()
print(replication.state, flush=True)
number = 0
try:
    while True:
        if sys.argv[3:] == ["write"]:
            number += 1
            connection.execute("INSERT INTO t VALUES (?)", (number,))
            print(number, flush=True)
        time.sleep(0.005)
except KeyboardInterrupt:
    sys.exit(1)
"""


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    """Start an application, and return when its replication has a state."""
    argv = [sys.executable, "-c", APPLICATION, str(folder / "app.db"), str(folder), *more]
    process = subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() in ("replicating", "standby")
    return process


def gone(folder: Path, limit: float = 5.0) -> float | None:
    """Return after how many seconds there is no daemon left; None when there is one after all."""
    begun = time.monotonic()
    while daemons(folder):
        if time.monotonic() - begun > limit:
            return None
        time.sleep(0.01)
    return time.monotonic() - begun


def end(how: str, count: int, source: random.Random) -> None:
    """End an application in one way, again and again; print what was left and what was lost."""
    orphans = lost = 0
    longest = 0.0
    with tempfile.TemporaryDirectory(prefix="ls-life-") as name:
        folder = Path(name)
        with closing(sqlite3.connect(folder / "app.db")) as connection:
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("CREATE TABLE t (x)")
        for number in range(count):
            process = start(folder, "write")
            assert process.stdout is not None
            time.sleep(source.uniform(0.0, 0.4))
            if how == "SIGINT twice":
                os.killpg(process.pid, signal.SIGINT)
                time.sleep(source.uniform(0, 0.05))
                os.killpg(process.pid, signal.SIGINT)
            else:
                os.kill(process.pid, getattr(signal, how))
            said = process.stdout.read().split()
            process.stdout.close()
            process.wait()
            after = gone(folder)
            orphans += after is None
            longest = max(longest, after or 0.0)
            if number % 5 == 4 or number == count - 1:  # each run begins at 1 again
                url = f"file://{folder}/replica"
                copy = commands.restore(url, folder / f"{number}.db", integrity_check="full")
                with closing(sqlite3.connect(copy)) as connection:
                    source_rows = _count(folder / "app.db")
                    found = connection.execute("SELECT count(*) FROM t").fetchone()[0]
                    lost += max(0, source_rows - found)
                assert source_rows >= len(said) - 1
    print(
        f"{how}: {orphans} orphans after 5 s in {count}, gone after {longest:.2f} s at most; "
        f"{lost} rows missing",
        flush=True,
    )


def _count(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])


def takeovers(count: int) -> None:
    """Let eight start at once; kill the holder, again and again."""
    with tempfile.TemporaryDirectory(prefix="ls-life-") as name:
        folder = Path(name)
        with closing(sqlite3.connect(folder / "app.db")) as connection:
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("CREATE TABLE t (x)")
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", APPLICATION, str(folder / "app.db"), name],
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(8)
        ]
        states = []
        for process in processes:
            assert process.stdout is not None
            states.append(process.stdout.readline().strip())
        print(f"8 at once: {sorted(states)}, {len(daemons(folder))} daemon(s)")
        took = []
        most = 0
        for _ in range(count):
            (pid,) = daemons(folder)
            holder = _parent(_parent(pid))
            begun = time.monotonic()
            os.kill(holder, signal.SIGKILL)
            while daemons(folder) in ([], [pid]):
                time.sleep(0.005)
            took.append(time.monotonic() - begun)
            most = max(most, len(daemons(folder)))
            dead = next(process for process in processes if process.pid == holder)
            dead.wait()
            processes.remove(dead)
            processes.append(start(folder))
        print(f"takeover: {max(took):.2f} s at most in {count}, {most} daemon(s) at most")
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        print(f"left: {0 if gone(folder) is not None else daemons(folder)} daemons")


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", default="0.5", choices=["0.3", "0.5"])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--terms", type=int, default=50)
    parser.add_argument("--interrupts", type=int, default=20)
    parser.add_argument("--takeovers", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ["LITESTREAM_INSTALL_DIR"] = str(executable(options.series).parent)
    source = random.Random(options.seed)
    print(f"series {options.series}, seed {options.seed}")
    end("SIGKILL", options.kills, source)
    end("SIGTERM", options.terms, source)
    end("SIGINT twice", options.interrupts, source)
    takeovers(options.takeovers)


if __name__ == "__main__":
    main()
