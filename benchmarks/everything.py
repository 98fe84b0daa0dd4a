"""Everything at once: mixed loads, all kinds of faults, a proof by content after each `sync()`.

    python -m benchmarks.everything --series 0.5 --lives 100 --interval 0.1
    python -m benchmarks.everything --series 0.3 --lives 100 --interval 1 --replica s3

A life is a second or two of writers, a VACUUM, transactions of 3 MB, schema changes, checkpoints by
the application and long readers, then one fault: the daemon, its keeper, the application, a writer
or all of them killed, or SIGTERM for the daemon alone or for all of them. Then the loads end, some
by SIGKILL, the barrier is passed, and what is restored is compared with the database.

With `--tears` the loads let SQLite (before 3.50.2) commit frames without a checksum. A crash then
costs SQLite itself what follows them, so no writer is killed.
"""

from __future__ import annotations

import argparse
import contextlib
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
from pathlib import Path

import psutil
from tests.oracle import difference
from tests.support import S3_KEY, S3_SECRET, S3Server, executable

from litestream import LitestreamError, commands, configure

APPLICATION = """
import litestream, sys
config, key, secret = sys.argv[1:]
litestream.configure(replica_key_id=key, replica_access_key=secret)
replication = litestream.Replication(config, adopt=True).start()
print("started", flush=True)
for line in sys.stdin:
    try:
        replication.sync(timeout=60)
        print("synced", flush=True)
    except litestream.LitestreamError as error:
        print(repr(error)[:300], flush=True)
print("stopped" if replication.stop() else "not synced", flush=True)
"""
LOAD = """
import os, random, sqlite3, sys, time
database, kind, seed, stop, tears = sys.argv[1:]
source = random.Random(seed)
connection = sqlite3.connect(database, isolation_level=None, timeout=30)
run = connection.execute
run("PRAGMA cache_size = 20" if tears else "PRAGMA cache_spill = OFF")
number = 0
while not os.path.exists(stop):
    number += 1
    try:
        if kind == "rows":
            run("BEGIN IMMEDIATE")
            run("INSERT INTO a(v) VALUES(?)", (source.randbytes(source.randint(5, 900)).hex(),))
            run("UPDATE a SET v = v || 'x' WHERE id = abs(random()) % (SELECT max(id) FROM a)")
            if number % 7 == 0:
                run("SAVEPOINT s")
                run("DELETE FROM a WHERE id % 97 = ?", (number % 97,))
                run("ROLLBACK TO s" if number % 2 else "RELEASE s")
            run("COMMIT" if number % 11 else "ROLLBACK")
        elif kind == "blobs":
            run("INSERT OR REPLACE INTO b VALUES(?, zeroblob(?), ?)",
                (source.randint(1, 4), source.randint(1, 3_000_000), source.random()))
            time.sleep(0.2)
        elif kind == "schema":
            run(f"CREATE TABLE IF NOT EXISTS s{number % 3}(x, y UNIQUE)")
            run(f"INSERT OR IGNORE INTO s{number % 3} VALUES(?, ?)", (number, source.random()))
            run(f"DROP TABLE IF EXISTS s{(number + 1) % 3}")
            run(f"PRAGMA user_version = {number}")
            time.sleep(0.05)
        elif kind == "upkeep":
            run(source.choice(["VACUUM", "PRAGMA wal_checkpoint(PASSIVE)",
                "PRAGMA wal_checkpoint(RESTART)", "PRAGMA wal_checkpoint(TRUNCATE)", "REINDEX"]))
            time.sleep(source.uniform(0.1, 0.5))
        elif kind == "reader":
            run("BEGIN")
            run("SELECT count(*) FROM a").fetchone()
            time.sleep(source.uniform(0.1, 3))
            run("COMMIT")
    except sqlite3.OperationalError:
        if connection.in_transaction:
            run("ROLLBACK")
"""
FAULTS = ("none", "daemon", "daemon TERM", "keeper", "application", "writer", "all", "all TERM")


class Campaign:
    """One database, the applications that replicate it, and what was found."""

    def __init__(self, folder: Path, options: argparse.Namespace, server: S3Server | None) -> None:
        self.folder, self.source = folder, random.Random(options.seed)
        self.database, self.config, self.stop = folder / "app.db", folder / "l.yml", folder / "stop"
        interval = f"{round(options.interval * 1000)}ms"
        replica = server.replica() if server else {"type": "file", "path": str(folder / "replica")}
        entry = {
            "path": str(self.database),
            "monitor-interval": interval,
            "replicas": [{**replica, "sync-interval": interval}],
        }
        self.config.write_text(json.dumps({"dbs": [entry]}))
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE a(id INTEGER PRIMARY KEY, v)")
            connection.execute("CREATE INDEX a_v ON a(v)")
            connection.execute("CREATE TABLE b(id PRIMARY KEY, blob, number) WITHOUT ROWID")
            connection.execute("INSERT INTO a(v) VALUES('first')")
            connection.commit()
        self.evidence: str | None = options.evidence
        self.tears = "tears" if options.tears else ""
        self.synced = self.late = 0
        self.wrong: list[str] = []
        self.application = self.start()

    def start(self) -> subprocess.Popen[str]:
        while True:
            argv = [sys.executable, "-c", APPLICATION, str(self.config), S3_KEY, S3_SECRET]
            process = subprocess.Popen(
                argv, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, text=True, bufsize=1
            )
            assert process.stdout is not None
            if process.stdout.readline().strip() == "started":
                return process
            process.kill()
            process.wait()
            time.sleep(0.2)

    def live(self, number: int) -> None:
        self.stop.unlink(missing_ok=True)
        kinds = ["rows", "rows", *self.source.sample(["blobs", "schema", "upkeep", "reader"], 3)]
        argv = [sys.executable, "-c", LOAD, str(self.database)]
        loads = [
            subprocess.Popen([*argv, kind, str(self.source.random()), str(self.stop), self.tears])
            for kind in kinds
        ]
        time.sleep(self.source.uniform(0.5, 2.5))
        fault = self.source.choice(FAULTS[:5] if self.tears else FAULTS)
        self.inflict(fault, loads)
        time.sleep(self.source.choice([0, 0.1, 1]))
        for load in loads[: 0 if self.tears else self.source.choice([0, 0, 1, 5])]:
            load.kill()
        self.stop.touch()
        for load in loads:
            load.wait()
        if self.application.poll() is not None or fault in ("application", "all", "all TERM"):
            self.application.kill()
            self.application.communicate()
            self.application = self.start()
        self.compare(f"life {number} ({fault}; {' '.join(kinds)})")

    def inflict(self, fault: str, loads: list[subprocess.Popen[bytes]]) -> None:
        family = {"application": [psutil.Process(self.application.pid)], "keeper": [], "daemon": []}
        for process in family["application"][0].children(recursive=True):
            with contextlib.suppress(psutil.Error):
                is_daemon = "replicate" in process.cmdline()
                family["daemon" if is_daemon else "keeper"].append(process)
        kind = signal.SIGTERM if fault.endswith("TERM") else signal.SIGKILL
        name = fault.removesuffix(" TERM")
        victims = [v for group in family.values() for v in group] if name == "all" else []
        for victim in family.get(name, victims):
            with contextlib.suppress(psutil.Error):
                victim.send_signal(kind)
        if name in ("writer", "all"):
            loads[0].send_signal(kind)

    def compare(self, what: str) -> None:
        assert self.application.stdin is not None
        assert self.application.stdout is not None
        self.application.stdin.write("sync\n")
        answer = self.application.stdout.readline().strip()
        if answer != "synced":
            self.late += 1
            print(f"{what}: {answer}", flush=True)
            return
        self.synced += 1
        copy = self.folder / "copy.db"
        try:
            commands.restore(
                self.database, copy, config=self.config, force=True, integrity_check="none"
            )
            found = difference(self.database, copy)
        except (LitestreamError, sqlite3.Error) as error:
            found = str(error)
        if found:
            self.wrong.append(f"{what}: {found}")
            print(self.wrong[-1][:900], flush=True)
            if self.evidence:
                name = f"{len(self.wrong)}-{os.getpid()}"
                shutil.copytree(self.folder, Path(self.evidence, name))


def main() -> int:
    """Run the campaign that the arguments describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", default="0.5", choices=["0.3", "0.5"])
    parser.add_argument("--replica", default="file", choices=["file", "s3"])
    parser.add_argument("--lives", type=int, default=20)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tears", action="store_true", help="let SQLite tear its WAL")
    parser.add_argument("--evidence", help="a directory for a copy of what was found to be wrong")
    options = parser.parse_args()
    os.environ["LITESTREAM_INSTALL_DIR"] = str(executable(options.series).parent)
    os.environ.pop("AWS_CA_BUNDLE", None)  # 0.5.17 cannot use it
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ls-all-")))
        server = None
        if options.replica == "s3":
            server = S3Server(Path(stack.enter_context(tempfile.TemporaryDirectory())))
            stack.callback(server.stop)
            configure(replica_key_id=S3_KEY, replica_access_key=S3_SECRET)
        campaign = Campaign(folder, options, server)
        begun = time.monotonic()
        for number in range(options.lives):
            campaign.live(number)
        assert campaign.application.stdin is not None
        campaign.application.stdin.close()
        assert campaign.application.stdout is not None
        last = campaign.application.stdout.read().strip()
        campaign.application.wait()
    print(
        f"{options.series} {options.replica} {options.interval:g}s{' tears' * options.tears}: "
        f"{options.lives} lives, "
        f"{campaign.synced} times synced, {len(campaign.wrong)} wrong, {campaign.late} late, "
        f"at the end {last!r}; {time.monotonic() - begun:.0f} s"
    )
    return bool(campaign.wrong)


if __name__ == "__main__":
    sys.exit(main())
