"""What the library costs beside the bare executable: ratios of medians, measured side by side.

    .venv/bin/python benchmarks/cost.py [--rounds N]

Both sides of a ratio take turns within one run, so that what else the machine does meets both.
Compiled modules (``.pyc``) are used, as in an installed package.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def medians(first: Callable[[], object], second: Callable[[], object], rounds: int) -> list[float]:
    """Return the medians of both, in seconds, measured in turns after one warm-up."""
    times: list[list[float]] = [[], []]
    for number in range(rounds + 1):
        for call, measured in zip((first, second), times, strict=True):
            begun = time.perf_counter()
            call()
            if number:
                measured.append(time.perf_counter() - begun)
    return [statistics.median(measured) for measured in times]


def process(*argv: str | Path) -> Callable[[], object]:
    """Return a call that runs a program to its end."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return lambda: subprocess.run(argv, check=True, capture_output=True, env=environment)


def report(name: str, limit: float, first: float, second: float) -> bool:
    """Print a ratio beside its limit, and return whether it is kept."""
    ratio = first / second
    kept = "kept" if ratio <= limit else "NOT KEPT"
    print(f"{name:<62} {ratio:5.2f}  (limit {limit:.2f}, {kept})")
    return ratio <= limit


def main() -> int:
    """Measure the ratios and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds

    from litestream import commands

    python, executable = sys.executable, commands.executable()
    command = Path(python).parent / "litestream"
    kept = []

    ours, bare = medians(
        process(python, "-c", "import litestream"), process(python, "-c", "pass"), rounds
    )
    kept.append(report("python -c 'import litestream' / python -c pass", 1.10, ours, bare))

    def interpreter_and_executable() -> None:
        process(python, "-c", "pass")()
        process(executable, "version")()

    ours, bare = medians(process(command, "version"), interpreter_and_executable, rounds)
    kept.append(report("litestream version / (python -c pass + bare version)", 1.15, ours, bare))

    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "litestream.yml"
        config.write_text(
            f"dbs: [{{path: {directory}/a/b.db, replicas: [{{path: {directory}/r}}]}}]"
        )
        ours, bare = medians(process(command, "check", config), process(command, "version"), rounds)
        kept.append(report("litestream check / litestream version", 2.0, ours, bare))
        argv: list[str | Path] = [executable, "databases", "-config", config]
        if commands.version().startswith("0.5"):
            argv.append("-json")
        ours, bare = medians(
            lambda: commands.databases(config=config),
            lambda: subprocess.run(argv, check=True, capture_output=True),
            rounds,
        )
    kept.append(report("commands.databases() / subprocess.run of the same argv", 1.10, ours, bare))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    raise SystemExit(main())
