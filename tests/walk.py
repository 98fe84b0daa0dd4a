"""`init`, `check`, `run` and `verify` in a row, nothing edited in between but variables."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.support import wait_until

COMMAND = Path(sys.executable).parent / "litestream"


def walk(
    root: Path, databases: list[Path], environment: dict[str, str], to: str, patience: float = 120
) -> dict[str, float]:
    """Go through the four commands in a project's directory; return the seconds of each."""
    env = {**os.environ, **environment}
    output = root.with_name("litestream.yml")  # the directory may be read-only
    own = [] if os.access(root, os.W_OK) and os.geteuid() else ["--output", str(output)]
    at = ["--config", str(output)] if own else []
    seconds = {}

    def step(name: str, *argv: str) -> str:
        began = time.monotonic()
        done = subprocess.run(
            [COMMAND, *argv], cwd=root, env=env, capture_output=True, text=True, timeout=patience
        )
        seconds[name] = time.monotonic() - began
        assert 0 == done.returncode, (name, done.stdout, done.stderr)
        return done.stdout

    said = step("init", "init", "--to", to, *own)
    for path in databases:
        assert f"  {path} (" in said, (path, said)
    assert said.count(", as ") == len(databases), said
    said = step("check", "check", "--strict", *at)
    assert "" == said
    began = time.monotonic()
    log = root.with_name("run.log")
    with log.open("wb") as stream:
        daemon = subprocess.Popen([COMMAND, "run", *at], cwd=root, env=env, stderr=stream)
    try:
        # 0.3 says "replicating to" before it has opened anything
        wals = [path.with_name(f"{path.name}-wal") for path in databases]
        wait_until(lambda: all(map(Path.exists, wals)), "the daemon's start", patience)
        seconds["run"] = time.monotonic() - began
        which = ["--all"] if len(databases) <= 100 else [str(databases[0])]  # seconds for each
        step("verify", "verify", *which, *at)
    finally:
        daemon.terminate()
        # 0.3 may end with 1 although all is synced: its monitor and its end write one file
        status = daemon.wait(patience)
        assert status in (0, 1), f"exit status {status}: {log.read_text()}"
    return seconds
