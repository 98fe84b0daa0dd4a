"""What supervision costs: time to start, memory, idle processor time.

python -m benchmarks.supervision [--series 0.5] [--idle 60]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from tests.support import executable

from litestream import Replication, commands
from litestream._control_socket.nonblocking import Request


def bare_start(series: str, config: Path, socket: str) -> float:
    """Return how long a bare daemon takes from its start until it runs."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [executable(series), "replicate", "-config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    if series == "0.5":
        while not _answers(socket):
            time.sleep(0.001)
    else:
        while b"replicating to" not in process.stdout.readline():
            pass
    took = time.perf_counter() - begun
    process.terminate()
    process.communicate()
    return took


def _answers(socket: str) -> bool:
    try:
        request = Request(socket, "GET", "/info")
        while request.poll() is None:
            time.sleep(0.001)
    except OSError:
        return False
    return True


def cpu(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Return the megabytes that are a process's alone, and those that it shares in part (PSS)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", default="0.5", choices=["0.3", "0.5"])
    parser.add_argument("--idle", type=float, default=60)
    parser.add_argument("--cycles", type=int, default=100)
    options = parser.parse_args()
    os.environ["LITESTREAM_INSTALL_DIR"] = str(executable(options.series).parent)
    with tempfile.TemporaryDirectory(prefix="ls-bench-") as name:
        database = Path(name) / "app.db"
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("CREATE TABLE t (x)")
        socket = f"{name}/s"
        entry = {"path": str(database), "replicas": [{"url": f"file://{name}/replica"}]}
        config = Path(name) / "litestream.yml"
        config.write_text(json.dumps({"dbs": [entry]}))
        bare = Path(name) / "bare.yml"
        settings = {"enabled": options.series == "0.5", "path": socket}
        bare.write_text(json.dumps({"dbs": [entry], "socket": settings}))
        with Replication(config) as first:
            first.sync()
        commands.version()
        ours, theirs, stops = [], [], []
        for _ in range(20):
            theirs.append(bare_start(options.series, bare, socket))
            begun = time.perf_counter()
            replication = Replication(config).start()
            ours.append(time.perf_counter() - begun)
            replication.sync()
            begun = time.perf_counter()
            replication.stop()
            stops.append(time.perf_counter() - begun)
        print(
            f"start: bare {statistics.median(theirs) * 1000:.0f} ms, "
            f"ours {statistics.median(ours) * 1000:.0f} ms; stop "
            f"{statistics.median(stops) * 1000:.0f} ms (medians of 20)"
        )
        with Replication(config) as replication:
            replication.sync()
            time.sleep(3)
            assert replication._keeper is not None  # noqa: SLF001
            keeper = replication._keeper.pid  # noqa: SLF001
            before, own = cpu(keeper), sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
            time.sleep(options.idle)
            used = cpu(keeper) - before
            own = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - own
            print(
                f"idle for {options.idle:g} s: keeper {used / options.idle:.3%}, application "
                f"{own / options.idle:.3%} of a core; keeper {memory(keeper):.1f} MB"
            )
        counts = []
        for number in range(options.cycles):
            with Replication(config):
                pass
            if number in (options.cycles // 10, options.cycles - 1):
                files = len(list(Path("/proc/self/fd").iterdir()))
                counts.append((threading.active_count(), files, memory(os.getpid())))
        print(f"threads, files, MB after {options.cycles // 10} and {options.cycles}: {counts}")
        left = [p.name for p in Path(tempfile.gettempdir()).glob("litestream-*")]
        print(f"left in {tempfile.gettempdir()}: {left}", file=sys.stderr)


if __name__ == "__main__":
    main()
