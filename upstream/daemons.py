"""Traps of a daemon and its files: rivals, a WAL, a database or a replica that changed."""

from __future__ import annotations

import os
import shutil
import signal
import time
from functools import partial

from upstream.harness import Probe
from upstream.lab import Lab


def two_daemons(lab: Lab, daemons: int = 2) -> str:
    """Replicate with two daemons for some seconds."""
    lab.configure()
    lab.create()
    started = [lab.start() for _ in range(daemons)]
    with lab.writing(200):
        time.sleep(10)
    for daemon in started:
        lab.end(process=daemon)
    found = lab.difference(1, 1)
    return f"{found}; {lab.logged_errors()}" if found else ""


def restarted_wal(lab: Lab, number: int, *, checkpoint: bool) -> str:
    """Let the WAL begin anew, and grow less far than before, while no daemon runs."""
    lab.configure()
    connection = lab.create()
    lab.back_up()
    lab.write(60, "before")
    assert not (found := lab.difference()), found
    lab.end(number)
    lab.write(20, "while no daemon runs")
    connection.execute("UPDATE t SET v='while no daemon runs' WHERE id=150")
    if checkpoint:
        connection.execute("PRAGMA wal_checkpoint(RESTART)")
    lab.write(3, "in the new WAL")
    lab.start()
    time.sleep(0.3)
    lab.write(3, "after the start")
    return lab.difference()


def overtaken_snapshot(lab: Lab, *, checkpoint: bool) -> str:
    """Commit for the first time after a start while a snapshot is written."""
    lab.configure()
    connection = lab.create()
    connection.execute("PRAGMA cache_size=-100000")
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO t(v) VALUES(randomblob(?))", [(2000,)] * 25000)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    lab.back_up()
    connection.execute("UPDATE t SET v=randomblob(2000) WHERE id % 40 = 0")
    assert not (found := lab.difference(20)), found
    lab.end(signal.SIGKILL)
    if checkpoint:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    snapshots = lab.replica / "ltx" / "9"
    shutil.rmtree(snapshots, ignore_errors=True)  # as if a day had passed: one is due
    begun = lab.said().count("snapshot complete")
    lab.start()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE t SET v=randomblob(2000) WHERE id % 60 = 1")
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline and not any(snapshots.glob("*.tmp")):
        time.sleep(0.001)
    connection.execute("COMMIT")
    lab.wait(lambda: lab.said().count("snapshot complete") > begun, 8)
    return lab.difference()


def page_size(lab: Lab, size: int) -> str:
    """Give the database another page size while no daemon runs."""
    lab.configure()
    connection = lab.create()
    lab.back_up()
    lab.end()
    for statement in ("PRAGMA journal_mode=DELETE", f"PRAGMA page_size={size}", "VACUUM"):
        connection.execute(statement)
    connection.execute("PRAGMA journal_mode=WAL")
    lab.write()
    lab.start()
    time.sleep(0.5)
    lab.write()
    found = lab.difference(10, 12)
    return f"{found}; {lab.logged_errors()}" if found else ""


def replaced(lab: Lab, *, running: bool) -> str:
    """Put another database into its place, side files removed, as one does."""
    lab.configure()
    connection = lab.create()
    lab.back_up()
    connection.close()
    if not running:
        lab.end()
    new = lab.create(lab.folder / "new.db", rows=500)
    new.execute("UPDATE t SET v='of the new database'")
    new.close()
    os.replace(lab.folder / "new.db", lab.database)
    for suffix in ("-wal", "-shm"):
        lab.database.with_name(f"app.db{suffix}").unlink(missing_ok=True)
    lab.connect()
    lab.write()
    if not running:
        lab.start()
    found = lab.difference(8, 12)
    return f"{found}; {lab.logged_errors()}" if found else ""


def linked(lab: Lab, *, link: bool) -> str:
    """Replicate a database by the path of a link to it."""
    lab.configure()
    if link:
        (lab.folder / "shared").mkdir()
        lab.database.symlink_to(lab.folder / "shared" / "app.db")
    lab.create()
    lab.start()
    time.sleep(0.5)
    lab.write(50)
    found = lab.difference()
    return f"{found}; {lab.logged_errors()}" if found else ""


def emptied(lab: Lab, *, running: bool) -> str:
    """Empty the replica, under the daemon or while none runs."""
    lab.configure()
    lab.create()
    lab.back_up()
    if not running:
        lab.end()
    shutil.rmtree(lab.replica)
    lab.replica.mkdir()
    if not running:
        lab.start()
    time.sleep(0.5)
    lab.write()
    found = lab.difference()
    return f"{found}; {lab.logged_errors()}" if found else ""


PROBES = [
    Probe(
        "two-daemons",
        two_daemons,
        partial(two_daemons, daemons=1),
        most=4,
    ),
    Probe(
        "restarted-wal",
        partial(restarted_wal, number=signal.SIGKILL, checkpoint=True),
        partial(restarted_wal, number=signal.SIGKILL, checkpoint=False),
    ),
    Probe(
        "restarted-wal-sigterm",
        partial(restarted_wal, number=signal.SIGTERM, checkpoint=True),
        partial(restarted_wal, number=signal.SIGTERM, checkpoint=False),
    ),
    Probe(
        "overtaken-snapshot",
        partial(overtaken_snapshot, checkpoint=True),
        partial(overtaken_snapshot, checkpoint=False),
        most=3,
        since=(0, 5),
    ),
    Probe(
        "page-size",
        partial(page_size, size=8192),
        partial(page_size, size=4096),
    ),
    Probe(
        "replaced-database",
        partial(replaced, running=True),
        partial(replaced, running=False),
    ),
    Probe(
        "linked-database",
        partial(linked, link=True),
        partial(linked, link=False),
    ),
    Probe(
        "emptied-replica",
        partial(emptied, running=True),
        partial(emptied, running=False),
    ),
]
