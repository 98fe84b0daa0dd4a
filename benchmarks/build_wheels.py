"""Time the build of all eight wheels from vendored executables: under 90 s on two cores.

.venv/bin/python benchmarks/build_wheels.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "build_wheels.py"


def main() -> int:
    """Print the seconds; fail when there were too many."""
    subprocess.run(
        [sys.executable, SCRIPT, "fetch", "--series", "all", "--platform", "all"], check=True
    )
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        subprocess.run([sys.executable, SCRIPT, "build", "--out", out], check=True)
        seconds = time.perf_counter() - start
        wheels = len(list(Path(out).glob("*.whl")))
    print(f"{wheels} wheels and the sdist in {seconds:.1f} s (at most 90 s)")
    return 0 if wheels == 8 and seconds < 90 else 1


if __name__ == "__main__":
    sys.exit(main())
