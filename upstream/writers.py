"""Traps of a database that others write to: plain load, restarts under it, a writer's death."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from functools import partial

from upstream.harness import Probe
from upstream.lab import Lab

VICTIM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute(f"PRAGMA synchronous={sys.argv[2]}")
number = 0
print("ready", flush=True)
while True:
    number += 1
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO u(v) VALUES(?)", (f"A{number}",))
    connection.execute(f"UPDATE t SET v=? WHERE id <= {sys.argv[3]}", (f"{number:0100d}",))
    connection.execute("COMMIT")
"""


def load(lab: Lab, rate: float, interval: str = "1s") -> str:
    """Replicate while four processes write, and nothing else happens."""
    lab.configure(interval)
    lab.create()
    lab.back_up()
    if rate:
        with lab.writing(rate):
            time.sleep(8)
    lab.write()
    return lab.difference()


def restart_under_load(lab: Lab, number: int, *, rate: float, interval: str, restarts: int) -> str:
    """End and start the daemon at once, again and again, while four processes write."""
    lab.configure(interval)
    lab.create()
    lab.back_up()
    low, high = (0.3, 1.2) if interval == "100ms" else (1.0, 3.0)
    with lab.writing(rate):
        for _ in range(restarts):
            time.sleep(lab.source.uniform(low, high))
            if number:
                lab.restart(number)
        time.sleep(1.5)
    return lab.difference()


def killed_writer(lab: Lab, synchronous: str, *, kill: bool = True) -> str:
    """Kill a busy writer, commit some more, and compare."""
    lab.configure()
    lab.create()
    lab.back_up()
    rows = lab.source.choice((3, 30, 300))
    victim = lab.spawn(
        [sys.executable, "-c", VICTIM, lab.database, synchronous, str(rows)],
        stdout=subprocess.PIPE,
    )
    assert victim.stdout is not None
    victim.stdout.readline()
    time.sleep(lab.source.uniform(0.2, 1.0))
    if not kill:  # an end between two commits
        lab.connections[0].execute("BEGIN IMMEDIATE")
    victim.kill()
    victim.wait()
    if not kill:
        lab.connections[0].execute("ROLLBACK")
    time.sleep(lab.source.choice((0, 0.3, 1.2)))
    lab.write(lab.source.choice((1, 3)))
    return lab.difference(5)


def _restart(name: str, number: int, rate: float, interval: str, most: int) -> Probe:
    step = partial(restart_under_load, rate=rate, interval=interval)
    return Probe(
        name,
        partial(step, number=number, restarts=6 if interval == "100ms" else 3),
        partial(step, number=0, restarts=4),
        most=most,
        enough=3,
    )


PROBES = [
    Probe(
        "load",
        partial(load, rate=300),
        partial(load, rate=0),
        most=6,
        enough=2,
    ),
    Probe(
        "load-100ms",
        partial(load, rate=300, interval="100ms"),
        partial(load, rate=0, interval="100ms"),
        most=6,
        enough=2,
    ),
    _restart(
        "restart-sigkill",
        signal.SIGKILL,
        75,
        "100ms",
        8,
    ),
    _restart(
        "restart-sigkill-300",
        signal.SIGKILL,
        300,
        "100ms",
        8,
    ),
    _restart(
        "restart-sigkill-1s",
        signal.SIGKILL,
        75,
        "1s",
        8,
    ),
    _restart(
        "restart-sigterm",
        signal.SIGTERM,
        75,
        "100ms",
        8,
    ),
    Probe(
        "killed-writer",
        partial(killed_writer, synchronous="full"),
        partial(killed_writer, synchronous="full", kill=False),
        most=12,
        enough=3,
    ),
    Probe(
        "killed-writer-normal",
        partial(killed_writer, synchronous="normal"),
        partial(killed_writer, synchronous="normal", kill=False),
        most=30,
        enough=2,
    ),
]
