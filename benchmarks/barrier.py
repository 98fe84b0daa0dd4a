"""What `Replication.sync()` costs, as a share of the sync interval.

    python -m benchmarks.barrier --series 0.5

Upstream sends once an interval at most. A call after a pause finds the daemon ready, in about half
of all cases; one right after another waits for the rest of the interval.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.support import executable

import litestream


def main() -> int:
    """Print the medians and the longest waits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", default="0.5", choices=["0.3", "0.5"])
    parser.add_argument("--calls", type=int, default=60)
    options = parser.parse_args()
    os.environ["LITESTREAM_INSTALL_DIR"] = str(executable(options.series).parent)
    for interval in (1.0, 0.05):
        for pause in (2.0, 0.0):
            waits = sorted(_waits(interval, pause * interval, options.calls))
            print(
                f"{options.series}, a directory, interval {interval:g} s, "
                f"{'pauses of up to two intervals' if pause else 'one call after another'}: "
                f"median {statistics.median(waits) / interval:.2f} intervals, "
                f"longest {waits[-1] / interval:.2f} (N={len(waits)})"
            )
    return 0


def _waits(interval: float, pause: float, calls: int) -> list[float]:
    source, waits = random.Random(1), []
    with (
        tempfile.TemporaryDirectory(prefix="ls-barrier-") as folder,
        contextlib.ExitStack() as stack,
    ):
        database = Path(folder, "app.db")
        connection = stack.enter_context(contextlib.closing(litestream.connect(database)))
        connection.execute("CREATE TABLE items (value)")
        connection.commit()
        config = {database: f"file://{folder}/replica"}
        replication = stack.enter_context(litestream.Replication(config, sync_interval=interval))
        replication.sync()
        for number in range(calls):
            time.sleep(source.random() * pause)
            connection.execute("INSERT INTO items VALUES (?)", (number,))
            connection.commit()
            begun = time.perf_counter()
            replication.sync()
            waits.append(time.perf_counter() - begun)
    return waits


if __name__ == "__main__":
    sys.exit(main())
