"""How long verify takes beside what it cannot do without: ratios and differences of medians.

    .venv/bin/python benchmarks/verify.py [--rounds N] [--megabytes 10] [--big 1024]

Both sides take turns within one run. "raw restore" is the bare executable's ``restore`` in a
process of its own; "the gem's method" is what the Ruby gem does: write a row, sleep for ten
seconds, restore. The last part measures a writer's longest wait while ``exact`` runs beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from typing import TYPE_CHECKING, Any

from tests.support import Site, executable

import litestream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
longest, count, end = 0.0, 0, time.monotonic() + float(sys.argv[2])
print("ready", flush=True)
while time.monotonic() < end:
    begun = time.monotonic()
    connection.execute("INSERT INTO items (value) VALUES ('written beside')")
    longest = max(longest, time.monotonic() - begun)
    count += 1
    time.sleep(max(0.0, 0.01 - (time.monotonic() - begun)))
print(longest, count)
"""


@contextlib.contextmanager
def replicated(series: str, interval: str, megabytes: int, *, socket: bool) -> Iterator[Site]:
    """Give a database of random content, replicated by a running daemon."""
    os.environ["LITESTREAM_INSTALL_DIR"] = str(executable(series).parent)
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        site = Site(Path(directory), series, interval=interval, socket=socket)
        try:
            site.connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) "
                "INSERT INTO items (value) SELECT hex(randomblob(1000)) FROM n",
                (megabytes * 500,),
            )
            site.start()
            while True:
                with contextlib.suppress(litestream.VerificationFailure):
                    if verify(site, timeout=300):
                        break
            time.sleep(3)  # the first snapshot, which 0.5 makes besides
            yield site
            site.stop()
        finally:
            site.close()


def verify(site: Site, **options: Any) -> litestream.Verification:
    return litestream.verify(site.database, config=site.config, directory=site.directory, **options)


def raw_restore(site: Site, *, check: str | None = None) -> None:
    output = site.directory / "raw.db"
    flags = ("-config", site.config, "-o", output)
    subprocess.run(
        [executable(site.series), "restore", *flags, site.database],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if check:
        uri = f"file:{output}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.execute(f"PRAGMA {check}").fetchall()
    for path in site.directory.glob("raw.db*"):
        path.unlink()


def gems_method(site: Site) -> None:
    site.connection.execute("CREATE TABLE IF NOT EXISTS gem (id INTEGER PRIMARY KEY, uuid BLOB)")
    site.connection.execute("INSERT INTO gem (uuid) VALUES (randomblob(16))")
    time.sleep(10)
    raw_restore(site)


def medians(rounds: int, *sides: Callable[[], object]) -> list[float]:
    times: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + 1):
        for measured, side in zip(times, sides, strict=True):
            begun = time.perf_counter()
            side()
            if number:  # the first warms up
                measured.append(time.perf_counter() - begun)
    return [statistics.median(measured) for measured in times]


def held(what: str, value: float, limit: float, unit: str, *, at_least: bool = False) -> bool:
    good = value >= limit if at_least else value <= limit
    word = "at least" if at_least else "at most"
    print(f"    {what}: {value:.2f} {unit} ({word} {limit:g}): {'held' if good else 'NOT HELD'}")
    return good


def fast(rounds: int, megabytes: int) -> bool:
    good = True
    with replicated("0.5", "100ms", megabytes, socket=True) as site:
        raw, ours, exact = medians(
            rounds,
            lambda: raw_restore(site),
            lambda: verify(site),
            lambda: verify(site, exact=True),
        )
        (gem,) = medians(1, lambda: gems_method(site))
    print(f"0.5 socket 100ms {megabytes} MB, N={rounds}: raw restore {raw:.3f} s, ", end="")
    print(f"verify {ours:.3f} s, exact {exact:.3f} s, the gem's method {gem:.3f} s (N=1)")
    good &= held("verify - raw restore", ours - raw, 0.3, "s")
    good &= held("the gem's method / verify", gem / ours, 20, "x", at_least=True)
    for series, socket in (("0.3", False), ("0.5", False), ("0.5", True)):
        with replicated(series, "1s", megabytes, socket=socket) as site:
            raw, ours, exact = medians(
                rounds,
                lambda: raw_restore(site),
                lambda: verify(site),
                lambda: verify(site, exact=True),
            )
        print(
            f"{series} {'socket' if socket else 'no socket'} 1s {megabytes} MB, N={rounds}: ",
            end="",
        )
        print(f"raw restore {raw:.3f} s, verify {ours:.3f} s, exact {exact:.3f} s")
        good &= held("verify - raw restore", ours - raw, 1.4, "s")
    return good


def big(megabytes: int, rounds: int) -> bool:
    good = True
    for series in ("0.3", "0.5"):
        with replicated(series, "100ms", megabytes, socket=True) as site:
            raw, ours, exact = medians(
                rounds,
                lambda: raw_restore(site, check="quick_check"),
                lambda: verify(site, timeout=300),
                lambda: verify(site, timeout=300, exact=True),
            )
        print(
            f"{series} 100ms {megabytes} MB, N={rounds}: raw restore + quick check {raw:.2f} s, ",
            end="",
        )
        print(f"verify {ours:.2f} s, exact {exact:.2f} s")
        good &= held("verify / (raw restore + check)", ours / raw, 1.05, "x")
        good &= held("exact / (raw restore + check)", exact / raw, 2, "x")
    return good


def stall(seconds: float, megabytes: int) -> bool:
    """Measure a writer with 100 inserts a second, without and with ``exact`` beside it."""
    longest = {}
    with replicated("0.5", "100ms", megabytes, socket=True) as site:
        for beside in (False, True):
            writer = subprocess.Popen(
                [sys.executable, "-c", WRITER, site.database, str(seconds)],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert writer.stdout is not None
            writer.stdout.readline()
            count = 0
            while beside and writer.poll() is None:
                verify(site, exact=True)
                count += 1
            waited, commits = writer.communicate()[0].split()
            longest[beside] = float(waited)
            print(f"0.5 {megabytes} MB, {commits} inserts, {count} exact verifies beside: ", end="")
            print(f"longest insert {longest[beside] * 1000:.1f} ms")
    return held("longest insert with exact beside", longest[True] * 1000, 50, "ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--megabytes", type=int, default=10)
    parser.add_argument("--big", type=int, default=0, metavar="MEGABYTES")
    options = parser.parse_args()
    for name in list(os.environ):
        if name.startswith(("AWS_", "LITESTREAM_")):
            del os.environ[name]
    good = fast(options.rounds, options.megabytes)
    good &= stall(10, options.megabytes)
    if options.big:
        good &= big(options.big, 3)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
