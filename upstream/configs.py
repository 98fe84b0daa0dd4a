"""Traps of the config and of `-exec`: what is ignored, expanded, or done at a wrong moment."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from upstream.harness import Probe
from upstream.lab import Lab

CHILD = """#!{python}
import os, signal, sqlite3, sys, time
connection = sqlite3.connect({database!r}, isolation_level=None, timeout=30)
def end(*_):
    connection.execute("INSERT INTO u(v) VALUES('the last row')")
    sys.exit({status})
if {seconds} < 0:
    signal.signal(signal.SIGTERM, end)
    open({ready!r}, "w").close()
    while True:
        time.sleep(1)
time.sleep({seconds})
end()
"""


def _child(lab: Lab, *, status: int, seconds: float) -> Path:
    script = lab.folder / "child"
    values: dict[str, Any] = {"python": sys.executable, "database": str(lab.database)}
    values.update(status=status, seconds=seconds, ready=str(lab.folder / "ready"))
    script.write_text(CHILD.format(**values))
    script.chmod(0o755)
    lab.flags = ()
    return script


def exec_status(lab: Lab, *, status: int) -> str:
    """Look at the exit status when the command has ended with another than 0."""
    lab.configure()
    lab.create()
    child = _child(lab, status=status, seconds=1.5)
    found = lab.run("replicate", "-config", lab.config, "-exec", child).returncode
    return f"the command ended with {status}, litestream with {found}" if found != status else ""


def exec_signal(lab: Lab, *, status: int) -> str:
    """Let the command commit a row at SIGTERM and end with a status."""
    lab.configure("2s")
    lab.create()
    child = _child(lab, status=status, seconds=-1)
    daemon = lab.spawn(
        [lab.release.executable, "replicate", "-config", lab.config, "-exec", child],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert lab.wait((lab.folder / "ready").exists)
    assert not (found := lab.difference(20)), found
    lab.end(signal.SIGTERM, daemon)
    return lab.difference(0)


def exec_short(lab: Lab, *, seconds: float) -> str:
    """Let the command commit a row and end, soon or later."""
    lab.configure("3s")
    lab.create()
    child = _child(lab, status=0, seconds=seconds)
    found = lab.run("replicate", "-config", lab.config, "-exec", child).returncode
    return f"exit status {found}: {wrong}" if (wrong := lab.difference(0)) else ""


def singular(lab: Lab, *, key: str) -> str:
    """Name the replica by the key `replica`, or by `replicas`."""
    lab.configure(key=key)
    lab.create()
    lab.start()
    found = lab.difference(5)
    alive = lab.daemon is not None and lab.daemon.poll() is None
    return f"daemon alive: {alive}; {lab.logged_errors()}; {found}" if found else ""


def accepted(lab: Lab, *, replica: dict[str, str]) -> str:
    """Read a config with a key that cannot mean anything."""
    lab.configure(replica=replica)
    lab.create()
    answer = lab.run("databases", "-config", lab.config)
    assert answer.returncode in (0, 1)
    said = answer.stdout + answer.stderr
    silent = answer.returncode == 0 and not any(key in said for key in replica)
    return f"{replica} is accepted without a word" if silent and replica else ""


def dollar(lab: Lab, *, expand: bool) -> str:
    """Replicate a database whose path has a `$` in it."""
    folder = lab.folder / "cost$HOME"
    folder.mkdir()
    lab.database = folder / "app.db"
    lab.configure()
    lab.create()
    if not expand:
        lab.flags = ("-no-expand-env",)
    lab.start()
    lab.flags = ("-no-expand-env",)
    found = lab.difference(5)
    alive = lab.daemon is not None and lab.daemon.poll() is None
    return f"daemon alive: {alive}; {lab.logged_errors()}; {found}" if found else ""


def stray(lab: Lab, names: tuple[str, ...]) -> str:
    """Replicate databases whose names mean something in a URI; see which files appear."""
    wrong = []
    for number, name in enumerate(names):
        folder = lab.folder / f"data{number}"
        folder.mkdir()
        lab.database, lab.replica = folder / name, lab.folder / f"replica{number}"
        lab.configure()
        lab.create()
        lab.start()
        found = lab.difference(3, 8)
        mine = {name, f"{name}-wal", f"{name}-shm", f".{name}-litestream"}
        others = sorted({file.name for file in folder.iterdir()} - mine)
        if others or found:
            wrong.append(f"{name!r} opened {others}, {found or 'replicated'}")
        lab.end(signal.SIGKILL)
    return "; ".join(wrong)


def address(lab: Lab, host: str) -> str:
    """See on which addresses the metrics are served."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lab.configure(top={"addr": f"{host}:{port}"})
    lab.create()
    daemon = lab.start()

    def listening() -> list[str]:
        connections = psutil.Process(daemon.pid).net_connections("inet")
        return [c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN]

    addresses = lab.wait(listening)
    assert addresses, "no metrics are served"
    return f"it listens on {', '.join(addresses)}" if addresses != ["127.0.0.1"] else ""


PROBES = [
    Probe(
        "exec-status",
        partial(exec_status, status=7),
        partial(exec_status, status=0),
    ),
    Probe(
        "exec-final-sync",
        partial(exec_signal, status=1),
        partial(exec_signal, status=0),
        most=3,
    ),
    Probe(
        "exec-short",
        partial(exec_short, seconds=0.0),
        partial(exec_short, seconds=6.0),
    ),
    Probe(
        "replica-key",
        partial(singular, key="replica"),
        partial(singular, key="replicas"),
    ),
    Probe(
        "retention-key",
        partial(accepted, replica={"retention": "nonsense"}),
        partial(accepted, replica={}),
    ),
    Probe(
        "unknown-key",
        partial(accepted, replica={"sync-intervall": "1s"}),
        partial(accepted, replica={}),
    ),
    Probe(
        "dollar-in-path",
        partial(dollar, expand=True),
        partial(dollar, expand=False),
    ),
    Probe(
        "stray-files",
        partial(stray, names=("a#b.db", "a%41.db", "a?b.db")),
        partial(stray, names=("a b.db",)),
    ),
    Probe(
        "metrics-address",
        partial(address, host=""),
        partial(address, host="127.0.0.1"),
    ),
]
