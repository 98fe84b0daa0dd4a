"""Traps of the control socket, which releases of 0.5 have."""

from __future__ import annotations

import http.client
import json
import socket
import time
from functools import partial
from typing import Any

from upstream.harness import Inapplicable, Probe
from upstream.lab import Lab


class _Connection(http.client.HTTPConnection):
    """HTTP over the daemon's Unix socket."""

    def __init__(self, lab: Lab) -> None:
        super().__init__("localhost", timeout=10)
        self.path = str(lab.socket)

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


def request(lab: Lab, method: str, target: str, **body: Any) -> dict[str, Any]:
    """Ask the daemon once."""
    connection = _Connection(lab)
    try:
        connection.request(method, target, json.dumps(body) if body else None)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


def sync(lab: Lab, *, wait: bool) -> str:
    """Sync again and again while another process writes: by the command, or by the bare request."""
    lab.configure("1s")
    lab.create()
    lab.start()
    lab.wait(lab.socket.exists)
    with lab.writing(350, writers=1):
        begun = time.monotonic()
        while lab.count() < 3300 and time.monotonic() < begun + 30:
            if wait:
                lab.run("sync", "-wait", "-socket", lab.socket, lab.database)
            else:
                request(lab, "POST", "/sync", path=str(lab.database))
            time.sleep(0.2)
    return lab.difference()


def stop_start(lab: Lab, *, process: bool) -> str:
    """Stop and start the database over the socket, or its daemon; checkpoint in between."""
    lab.configure()
    connection = lab.create()
    lab.back_up()
    lab.wait(lab.socket.exists)
    if process:
        lab.end()
    else:
        stopped = lab.run("stop", "-socket", lab.socket, lab.database)
        assert stopped.returncode == 0, stopped.stderr
    connection.execute("UPDATE t SET v='changed' WHERE id=150")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if process:
        lab.start()
    else:
        started = lab.run("start", "-socket", lab.socket, lab.database)
        assert started.returncode == 0, started.stderr
    lab.write(3)
    return lab.difference(5)


def last_sync(lab: Lab, *, broken: bool) -> str:
    """Read the time of the last sync while every sync fails, for want of Litestream's folder."""
    lab.configure()
    lab.create()
    lab.back_up()
    lab.wait(lab.socket.exists)
    if broken:
        folder = lab.database.with_name(".app.db-litestream")
        folder.rename(lab.folder / "away")
        folder.write_text("a file")
    lab.write()
    time.sleep(1)
    times = []
    for _ in range(2):
        (row,) = request(lab, "GET", "/list")["databases"]
        times.append(row.get("last_sync_at"))
        time.sleep(1.5)
    if times[0] is None:
        raise Inapplicable("the release does not tell the time of the last sync")
    found = lab.difference(1, 1 if broken else 30)
    if not broken:
        return found
    assert found, "the fault did not work: the replica is equal"
    moved = times[0] and times[0] != times[1]
    return (
        f"it moved on by seconds while the replica lacked the last rows: {found}" if moved else ""
    )


PROBES = [
    Probe(
        "sync-wait",
        partial(sync, wait=True),
        partial(sync, wait=False),
        most=6,
        enough=2,
        since=(0, 5, 9),
    ),
    Probe(
        "stop-start",
        partial(stop_start, process=False),
        partial(stop_start, process=True),
        most=3,
        since=(0, 5, 7),
    ),
    Probe(
        "last-sync-at",
        partial(last_sync, broken=True),
        partial(last_sync, broken=False),
        since=(0, 5, 8),
    ),
]
