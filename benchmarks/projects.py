"""Ten sample projects: init, check, run, verify in a row, on both series; prints a table.

    python -m benchmarks.projects [--s3] [--series 0.5] [--only NAME]

Nothing is edited in between but the replica's variables: a directory, or with --s3 a bucket
of a real S3 server on loopback. Of 500 databases one is verified. Exit status 1: a step failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests import projects
from tests.support import S3_KEY, S3_SECRET, S3Server, executable
from tests.walk import walk

_STEPS = ("init", "check", "run", "verify")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--s3", action="store_true")
    parser.add_argument("--series", choices=("0.3", "0.5"), help="by default both")
    parser.add_argument("--only", help="the projects whose names hold this", default="")
    options = parser.parse_args()
    failed = 0
    print("| project | databases | series | " + " | ".join(f"{s}, s" for s in _STEPS) + " |")
    print("| --- " * (3 + len(_STEPS)) + "|")
    with ExitStack() as stack:
        server = None
        if options.s3:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ls-s3-"))
            buckets = Path(folder) / "buckets"
            buckets.mkdir()
            server = S3Server(buckets)
            stack.callback(server.stop)
        for name in (name for name in projects.PROJECTS if options.only in name):
            for series in [options.series] if options.series else ("0.3", "0.5"):
                line, good = _row(name, series, server)
                failed += not good
                print(line, flush=True)
    return 1 if failed else 0


def _row(name: str, series: str, server: S3Server | None) -> tuple[str, bool]:
    with tempfile.TemporaryDirectory(prefix="ls-project-") as directory:
        root, databases = projects.make(name, Path(os.path.realpath(directory)))
        environment = {
            "LITESTREAM_INSTALL_DIR": str(executable(series).parent),
            "LITESTREAM_REPLICA_PATH": f"{directory}/backups",
            **projects.variables(root),
        }
        if server:
            environment["LITESTREAM_REPLICA_BUCKET"] = str(server.replica()["bucket"])
            environment["LITESTREAM_REPLICA_ENDPOINT"] = server.endpoint
            environment["LITESTREAM_ACCESS_KEY_ID"] = S3_KEY
            environment["LITESTREAM_SECRET_ACCESS_KEY"] = S3_SECRET
        before = f"| {name} | {len(databases)} | {series} |"
        try:
            took = walk(root, databases, environment, "minio" if server else "file", 600)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            said = str(error).replace("\\n", " ").split("\n")[0][:300]
            return f"{before} {said} |", name == "none" and "No SQLite database" in said
        finally:
            root.chmod(0o700)
        return f"{before} {' | '.join(f'{took[step]:.2f}' for step in _STEPS)} |", True


if __name__ == "__main__":
    sys.exit(main())
