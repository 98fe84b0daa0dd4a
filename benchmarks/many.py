"""What a config of many databases costs, each over the bare executable's work in the same run.

    .venv/bin/python benchmarks/many.py N [--series 0.5] [--jobs 4]

The bare work is the executable's ``restore`` of each database, or its listing, in as many processes
at once as this machine has cores: what a shell with ``xargs -P`` takes. The restores are measured
three times, before, between and after, and each of our times is compared with the mean of the two
beside it: a shared machine is not equally fast all the time. ``start`` is the time until a daemon
of ours runs on databases that were replicated before.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from typing import TYPE_CHECKING

from tests.support import executable

import litestream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GOALS = {"start": 0.5, "databases()": 1.2, "verify_all": 1.6, "exact": 1.6, "recover": 1.0}


def main() -> int:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("number", type=int)
    parser.add_argument("--series", choices=("0.3", "0.5"), default="0.5")
    parser.add_argument("--jobs", type=int, default=4)
    options = parser.parse_args()
    os.environ["LITESTREAM_INSTALL_DIR"] = str(executable(options.series).parent)
    with tempfile.TemporaryDirectory(prefix="many-", ignore_cleanup_errors=True) as name:
        return measure(Path(name), options.number, options.series, options.jobs)


def measure(folder: Path, number: int, series: str, jobs: int) -> int:
    """Measure on a number of databases of some 100 rows each."""
    paths = [folder / f"{n:05}.db" for n in range(number)]
    entries = []
    for path in paths:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
            connection.executemany("INSERT INTO items (value) VALUES (?)", [("x" * 100,)] * 100)
            connection.commit()
        replica = {"type": "file", "path": f"{folder}/copies/{path.stem}"}
        entries.append({"path": str(path), "replicas": [replica]})
    config = folder / "litestream.yml"
    config.write_text(json.dumps({"dbs": entries}))
    with litestream.Replication(config) as replication:
        replication.sync(timeout=120 + number)

    program = str(litestream.commands.executable())

    def bare(verb: Sequence[str], path: Path, *more: str) -> None:
        argv = [program, *verb, "-config", str(config), *more, str(path)]
        subprocess.run(argv, check=True, capture_output=True)

    def restored(path: Path) -> None:
        copy = folder / f"bare-{path.name}"
        bare(["restore"], path, "-o", str(copy))
        copy.unlink()

    def listed(path: Path) -> None:
        if series == "0.5":
            bare(["ltx"], path, "-json", "-level", "all")
        else:
            bare(["generations"], path)
            bare(["snapshots"], path)

    def restores() -> float:
        return timed(lambda: in_turns(restored, paths))

    before = restores()
    listings = timed(lambda: in_turns(listed, paths))

    took = {}
    replication = litestream.Replication(config)
    took["start"] = timed(replication.start)
    try:
        took["databases()"] = timed(lambda: overview(config, jobs))
        for what, exact in (("verify_all", False), ("exact", True)):
            took[what] = timed(functools.partial(verified, config, jobs, exact=exact))
    finally:
        replication.stop()
    between = restores()
    for path in list(folder.glob("*.db*")):  # Litestream's local state, too
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    took["recover"] = timed(lambda: litestream.recover(config=config, jobs=jobs))
    after = restores()

    print(f"{number} databases, Litestream {litestream.commands.version()}, {os.cpu_count()} cores")
    three = ", ".join(f"{seconds:.2f}" for seconds in (before, between, after))
    print(f"bare: {three} s of restores, {listings:.2f} s of listings")
    beside = dict.fromkeys(took, (before + between) / 2)
    beside |= {"databases()": listings, "recover": (between + after) / 2}
    kept = [report(name, seconds, beside[name]) for name, seconds in took.items()]
    return 0 if all(kept) else 1


def overview(config: Path, jobs: int) -> None:
    """List everything."""
    assert all(row["generations"] for row in litestream.databases(config=config, jobs=jobs))


def verified(config: Path, jobs: int, *, exact: bool) -> None:
    """Verify everything."""
    for outcome in litestream.verify_all(config, jobs, exact=exact, timeout=120):
        assert outcome, outcome


def in_turns(work: Callable[[Path], None], paths: Sequence[Path]) -> None:
    """Do some work on each path, on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, paths))


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def report(name: str, seconds: float, bare: float) -> bool:
    """Print a ratio beside its goal, and return whether it is kept."""
    kept = seconds / bare <= GOALS[name]
    said = "kept" if kept else "NOT KEPT"
    print(f"{name:<12} {seconds:7.2f} s  {seconds / bare:5.2f}  (goal {GOALS[name]}, {said})")
    return kept


if __name__ == "__main__":
    raise SystemExit(main())
