"""Writers killed inside COMMIT: is what `sync()` calls replicated equal to the database?

python -m benchmarks.killed_writers --series 0.5 --kills 200
python -m benchmarks.killed_writers --series 0.5 --kills 30 --bare     (the control)

After each kill everything is compared, by restoring, after 0, 1 and sometimes 400 more commits.
`--shim` lets the writer die for certain between the frames and the wal-index, in the WAL's fsync.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.oracle import difference
from tests.support import S3_KEY, S3_SECRET, S3Server, executable

import litestream
from litestream import commands

VICTIM = """
import sqlite3, sys
database, synchronous, rows = sys.argv[1:]
connection = sqlite3.connect(database, isolation_level=None, timeout=30)
connection.execute(f"PRAGMA synchronous={synchronous}")
number = 0
print("ready", flush=True)
while True:
    number += 1
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO u(v) VALUES(?)", (f"A{number}",))
    connection.execute(f"UPDATE t SET v=? WHERE id <= {rows}", (f"{number:0100d}",))
    connection.execute("COMMIT")
"""
NEIGHBOUR = """
import os, sqlite3, sys, time
database, stop = sys.argv[1:]
connection = sqlite3.connect(database, isolation_level=None, timeout=30)
while not os.path.exists(stop):
    connection.execute("INSERT INTO u(v) VALUES('neighbour')")
    connection.execute("UPDATE w SET v = v + 1 WHERE id = abs(random()) % 50")
"""
SHIM = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int fdatasync(int file) {
    char path[64], name[4096];
    sprintf(path, "/proc/self/fd/%d", file);
    int length = readlink(path, name, 4095);
    name[length > 0 ? length : 0] = 0;
    if (length > 4 && !strcmp(name + length - 4, "-wal") && !access(getenv("ARMED"), 0)) raise(9);
    return 0;
}
int fsync(int file) { return fdatasync(file); }
"""


class Trials:
    """One database, its replication, and what came of the kills."""

    def __init__(
        self, folder: Path, arguments: argparse.Namespace, server: S3Server | None
    ) -> None:
        self.folder, self.arguments, self.source = folder, arguments, random.Random(arguments.seed)
        self.databases = [folder / f"app{n}.db" for n in range(arguments.databases)]
        self.config = folder / "litestream.yml"
        interval = arguments.interval
        self.config.write_text(
            json.dumps(
                {
                    "dbs": [
                        {
                            "path": str(database),
                            "monitor-interval": interval,
                            "replicas": [
                                {
                                    **(
                                        server.replica()
                                        if server
                                        else {"path": str(folder / "replica" / database.name)}
                                    ),
                                    "sync-interval": interval,
                                }
                            ],
                        }
                        for database in self.databases
                    ],
                    **(
                        {"socket": {"enabled": True, "path": str(folder / "s")}}
                        if arguments.series == "0.5"
                        else {}
                    ),
                }
            )
        )
        self.connections = []
        for database in self.databases:
            connection = sqlite3.connect(database, isolation_level=None, timeout=30)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
            connection.execute("CREATE TABLE u(id INTEGER PRIMARY KEY, v)")
            connection.execute("CREATE INDEX by_v ON u(v)")
            connection.execute("CREATE TABLE w(id INTEGER PRIMARY KEY, v)")
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO t(v) VALUES(?)", [("x" * 100,)] * 300)
            connection.executemany("INSERT INTO w(id, v) VALUES(?, 0)", [(n,) for n in range(50)])
            connection.execute("COMMIT")
            self.connections.append(connection)
        self.wrong: list[str] = []
        self.late = self.compared = self.believed = self.alarms = 0
        self.longest = 0.0

    def kill(self, number: int) -> None:
        """Kill a writer of each database, commit some more, and compare."""
        stop, armed = self.folder / "stop", self.folder / "armed"
        for file in (stop, armed):
            file.unlink(missing_ok=True)
        beside = [
            subprocess.Popen([sys.executable, "-c", NEIGHBOUR, str(database), str(stop)])
            for database in self.databases
            if number % 2 and not self.arguments.alone
        ]
        environment = dict(os.environ, ARMED=str(armed))
        if self.arguments.shim:
            environment["LD_PRELOAD"] = str(self.folder / "shim.so")
        rows = self.source.choice([3, 30, 300])
        victims = [
            subprocess.Popen(
                [
                    *(sys.executable, "-c", VICTIM, str(database)),
                    *(self.arguments.synchronous, str(rows)),
                ],
                stdout=subprocess.PIPE,
                env=environment,
            )
            for database in self.databases
        ]
        for victim in victims:
            assert victim.stdout is not None
            victim.stdout.readline()
        time.sleep(self.source.uniform(0.2, 1.2))
        armed.touch()
        if not self.arguments.shim:
            for victim in victims:
                victim.kill()
        for victim in victims:
            victim.communicate()
        time.sleep(self.source.choice([0, 0, 0.1, 1.2]))
        stop.touch()
        for neighbour in beside:
            neighbour.wait()
        self.compare(number, 0)
        self.commit(self.source.choice([1, 3]))
        self.compare(number, 1)
        if number % 4 == 0:
            self.commit(400)
            self.compare(number, 400)
        if number % 20 == 19:
            for connection in self.connections:
                connection.execute("DELETE FROM u")

    def commit(self, count: int) -> None:
        for connection in self.connections:
            for _ in range(count):
                connection.execute("INSERT INTO u(v) VALUES('B')")

    def compare(self, number: int, after: int) -> None:
        for database in self.databases:
            begun = time.monotonic()
            try:
                self.sync(database)
            except litestream.LitestreamError as error:
                self.late += 1
                print(f"kill {number}, {after} more commits: {error}", flush=True)
                continue
            self.longest = max(self.longest, time.monotonic() - begun)
            copy = self.folder / "copy.db"
            commands.restore(database, copy, config=self.config, force=True, integrity_check="none")
            self.compared += 1
            found = difference(database, copy)
            if found:
                self.wrong.append(f"kill {number}, {after} more commits: {found}")
                print(self.wrong[-1], flush=True)
            if self.arguments.exact:
                with contextlib.suppress(litestream.VerificationFailure):
                    litestream.verify(database, config=self.config, exact=True)
                    self.believed += bool(found)
                    continue
                self.alarms += not found

    def sync(self, database: Path) -> None:
        if self.arguments.bare:
            time.sleep(2.5)
        else:
            assert self.replication is not None
            self.replication.sync(database, timeout=30)

    replication: litestream.Replication | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", choices=("0.3", "0.5"), default="0.5")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--synchronous", choices=("full", "normal"), default="full")
    parser.add_argument("--databases", type=int, default=1)
    parser.add_argument("--interval", default="1s")
    parser.add_argument("--replica", default="file", choices=["file", "s3"])
    parser.add_argument("--shim", action="store_true", help="die in the WAL's fsync (gcc, Linux)")
    parser.add_argument("--bare", action="store_true", help="the control: a daemon on its own")
    parser.add_argument("--alone", action="store_true", help="no writer beside the one killed")
    parser.add_argument("--exact", action="store_true", help="ask verify(exact=True), too")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    os.environ["LITESTREAM_INSTALL_DIR"] = str(executable(arguments.series).parent)
    folder = Path(tempfile.mkdtemp(prefix="ls-killed-"))
    server = None
    if arguments.replica == "s3":
        (folder / "s3").mkdir()
        server = S3Server(folder / "s3")
        litestream.configure(replica_key_id=S3_KEY, replica_access_key=S3_SECRET)
    trials = Trials(folder, arguments, server)
    if arguments.shim:
        (folder / "shim.c").write_text(SHIM)
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-o", folder / "shim.so", folder / "shim.c"], check=True
        )
    begun = time.monotonic()
    stopped: object = "-"
    try:
        if arguments.bare:
            daemon = subprocess.Popen(
                [executable(arguments.series), "replicate", "-config", trials.config],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(2)
            for number in range(arguments.kills):
                trials.kill(number)
            daemon.terminate()
            daemon.wait()
        else:
            trials.replication = litestream.Replication(trials.config)
            with trials.replication as replication:
                replication.sync()
                for number in range(arguments.kills):
                    trials.kill(number)
                stopped = replication.stop()
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{arguments.series} {arguments.synchronous} {arguments.replica}: {arguments.kills} kills, "
        f"{trials.compared} comparisons, {len(trials.wrong)} wrong, {trials.late} late, "
        f"longest sync {trials.longest:.2f} s, stop() {stopped}, exact: {trials.believed} wrong "
        f"believed, {trials.alarms} false alarms; {time.monotonic() - begun:.0f} s"
    )


if __name__ == "__main__":
    main()
