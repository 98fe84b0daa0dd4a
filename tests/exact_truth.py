"""The campaign of ``exact``: no false alarm under load, and no belief in a hole that no row shows.

    python -m tests.exact_truth --series 0.5 --healthy 300 --holes 30

A hole is a transaction that the replica lacks while all later ones are there. On 0.5 upstream makes
it itself: ``stop`` and ``start`` over the control socket with a checkpoint between. On 0.3 the
replica is taken from another history of the same database, in which that transaction never was.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import litestream
from litestream import commands
from tests.support import PATIENCE, Site, executable, wait_until

_INSERT = "INSERT INTO items (value) VALUES (hex(randomblob(abs(random()) % 300)))"
_UPDATE = "UPDATE items SET value = hex(randomblob(50)) WHERE id BETWEEN {0} AND {0} + {1}"
_DELETE = "DELETE FROM items WHERE id BETWEEN {0} AND {0} + 20"
LOADS = {
    "insert": [_INSERT],
    "update": [_UPDATE],
    "delete": [_DELETE, *[_INSERT] * 21],  # what is deleted is written again
    "mixed": [_INSERT, _UPDATE, _DELETE, _INSERT, "BEGIN", *[_INSERT] * 5, _UPDATE, "COMMIT"],
}
HOLES = {
    "index": "UPDATE users SET mail = 'aaa' WHERE id = 1500",
    "type": "UPDATE plain SET v = CAST(v AS BLOB)",
    "rowid": "UPDATE plain SET rowid = rowid + 5000",
}
_BATCH = 5  # proofs of one database, whose history grows: 0.3 restores all of it
LATER = "UPDATE users SET seen = {} WHERE id BETWEEN 1400 AND 1600"

WRITER = """
import random, signal, sqlite3, sys, time
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
path, pause, *statements = sys.argv[1:]
connection = sqlite3.connect(path, timeout=30, isolation_level=None)
print("ready", flush=True)
number, begun = 0, time.monotonic()
while not stopped or connection.in_transaction:
    statement = statements[number % len(statements)]
    number += 1
    wide = 300 if number % 40 == 0 else 1
    connection.execute(statement.format(random.randrange(4000), wide))
    time.sleep(float(pause) * random.random() * 2)
"""


@contextlib.contextmanager
def loaded(database: Path, load: str, pause: float) -> Iterator[None]:
    """Write to a database from another process for as long as the block runs."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, database, str(pause), *LOADS[load]], stdout=subprocess.PIPE
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        yield
        writer.terminate()
        assert writer.wait(PATIENCE) == 0, "the writer died"
    finally:
        writer.kill()
        writer.communicate()


@contextlib.contextmanager
def site_of(series: str, *, socket: bool = True) -> Iterator[Callable[[str], Site]]:
    """Give a function that makes a Site in a directory of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="exact-", ignore_cleanup_errors=True) as directory,
        mock.patch.dict(os.environ, {"LITESTREAM_INSTALL_DIR": str(executable(series).parent)}),
        contextlib.ExitStack() as stack,
    ):

        def make(name: str) -> Site:
            site = Site(Path(directory) / name, series, interval="50ms", socket=socket)
            stack.callback(site.close)
            return site

        yield make


def verdict(site: Site, timeout: float = 20.0) -> str:
    """Return ``"proved"``, or why not."""
    try:
        litestream.verify(
            site.database,
            config=site.config,
            exact=True,
            timeout=timeout,
            directory=site.directory,
        )
    except litestream.VerificationFailure as failure:
        return f"{failure.reason}: {failure.message}"
    return "proved"


def healthy(series: str, load: str, count: int, *, pause: float = 0.002) -> Counter[str]:
    """Prove a healthy replica again and again while others write."""
    outcomes: Counter[str] = Counter()
    with site_of(series, socket=load != "update") as make:
        site = make("site")
        site.connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000) "
            "INSERT INTO items (value) SELECT hex(randomblob(50)) FROM n"
        )
        site.start()
        site.wait_for_backup()
        site.stop()  # what was written before is in the database file then, not in the WAL
        site.start()
        with loaded(site.database, load, pause):
            for _ in range(count):
                outcomes[verdict(site)] += 1
        site.stop()
    return outcomes


def hole(series: str, kind: str) -> str:
    """Let a replica lack one transaction, and return what a verify says of it."""
    with site_of(series) as make, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        site = make("site")
        _fill(site.connection)
        (_with_05 if series == "0.5" else _with_03)(site, make, kind)
        return verdict(site, timeout=30.0)


def _fill(connection: sqlite3.Connection) -> None:
    connection.executescript(
        "BEGIN; CREATE TABLE users (id INTEGER PRIMARY KEY, mail, seen);"
        "CREATE UNIQUE INDEX by_mail ON users (mail); CREATE TABLE plain (v);"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000)"
        "  INSERT INTO users SELECT i, printf('user%05d', i), 0 FROM n;"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 900)"
        "  INSERT INTO plain SELECT CAST(i AS TEXT) FROM n; COMMIT"
    )


def _with_05(site: Site, _make: Callable[[str], Site], kind: str) -> None:
    site.start()
    site.wait_for_backup(snapshot=True)
    litestream.sync(site.database, config=site.config)
    commands.stop(site.database, config=site.config)
    site.connection.execute(HOLES[kind])
    site.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    commands.start(site.database, config=site.config)
    site.connection.execute(LATER.format(1))
    litestream.sync(site.database, config=site.config)


def _with_03(site: Site, make: Callable[[str], Site], kind: str) -> None:
    other = make("other")
    site.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.connection.close()
    for path in other.directory.glob("app.db*"):
        path.unlink()
    shutil.copy(site.database, other.database)
    other.connection = sqlite3.connect(other.database, timeout=30, isolation_level=None)
    for one in (site, other):
        one.start()
        one.wait_for_backup(snapshot=True)
    site.connection.execute(HOLES[kind])
    site.connection.execute(LATER.format(1))
    if kind == "index":  # the row is there, its entry in the index is not
        for sql in ("(seen)", "(mail)"):
            with contextlib.closing(sqlite3.connect(other.database)) as connection:
                if sql == "(mail)":
                    connection.execute(HOLES[kind])
                connection.execute("PRAGMA writable_schema=ON")
                connection.execute(
                    "UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX by_mail ON users ' || ? "
                    "WHERE name = 'by_mail'",
                    (sql,),
                )
                connection.commit()
    for number in range(9):  # until its WAL is the longer one
        other.connection.execute(LATER.format(1 - number % 2))
        time.sleep(0.01)
    for one in (site, other):
        litestream.sync(one.database, config=one.config)
        one.stop()
    (mine,) = (site.replica_path / "generations").iterdir()
    (others,) = (other.replica_path / "generations").iterdir()
    shutil.rmtree(mine)
    shutil.copytree(others, mine)
    wait_until(mine.exists, "the other history")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", choices=("0.3", "0.5"), required=True)
    parser.add_argument("--healthy", type=int, default=0, help="proofs, over all loads")
    parser.add_argument("--holes", type=int, default=0, help="holes, over all kinds")
    options = parser.parse_args()
    for name in list(os.environ):
        if name.startswith(("AWS_", "LITESTREAM_")):
            del os.environ[name]
    wrong = 0
    for number in range(options.healthy // _BATCH):
        load = list(LOADS)[number % len(LOADS)]
        outcomes = healthy(options.series, load, _BATCH)
        wrong += sum(outcomes.values()) - outcomes["proved"]
        print(options.series, load, dict(outcomes), flush=True)
    for number in range(options.holes):
        kind = list(HOLES)[number % len(HOLES)]
        outcome = hole(options.series, kind)
        wrong += outcome == "proved"
        print(options.series, kind, outcome, flush=True)
    print(f"{options.series}: {wrong} wrong", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
