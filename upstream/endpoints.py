"""Traps of a replica that does not answer, and of what the executable says then."""

from __future__ import annotations

import http.server
import socket
import subprocess
import threading
import time
from contextlib import ExitStack
from functools import partial

from upstream.harness import Probe
from upstream.lab import Lab

LIMIT = 20.0
EMPTY = (
    b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'
)


class _NoBackups(http.server.BaseHTTPRequestHandler):
    """Answers as an empty bucket does."""

    def do_GET(self) -> None:
        """Answer every listing."""
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(EMPTY)))
        self.end_headers()
        self.wfile.write(EMPTY)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def endpoint(lab: Lab, kind: str) -> str:
    """Restore from an S3 endpoint: one that answers, one that is down, one that hangs."""
    with ExitStack() as stack:
        if kind == "answers":
            server = stack.enter_context(
                http.server.ThreadingHTTPServer(("127.0.0.1", 0), _NoBackups)
            )
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            port = server.server_address[1]
        else:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            if kind == "hangs":
                listener.listen(64)  # the system accepts; nobody answers
            else:
                listener.close()
        lab.configure(
            replica={
                "type": "s3",
                "bucket": "b",
                "path": "p",
                "region": "us-east-1",
                "endpoint": f"http://127.0.0.1:{port}",
                "force-path-style": True,
            }
        )
        argv = ["restore", "-config", lab.config, "-o", lab.folder / "output.db", lab.database]
        begun = time.monotonic()
        restore = lab.spawn(
            [lab.release.executable, *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            restore.wait(LIMIT)
        except subprocess.TimeoutExpired:
            return f"`restore` had not ended after {LIMIT:.0f} s"
        assert restore.returncode == 1, restore.returncode
        assert time.monotonic() - begun < LIMIT
        return ""


def shutdown(lab: Lab, *, broken: bool) -> str:
    """End a daemon whose last sync cannot succeed; look at its exit status."""
    lab.configure(top={"shutdown-sync-timeout": "1s"})
    lab.create()
    lab.back_up()
    away = lab.folder / "away"
    if broken:
        lab.replica.rename(away)
        lab.replica.write_text("a file")
    lab.write()
    status = lab.end()
    if broken:
        lab.replica.unlink()
        away.rename(lab.replica)
    found = lab.difference(0)
    if not broken:
        return found  # whatever the exit status: 0.3 ends with 1 now and then, all replicated
    assert found, "the fault did not work: the replica is equal"
    return f"exit status 0, but {found}; {lab.logged_errors()}" if status == 0 else ""


PROBES = [
    Probe(
        "endpoint-down",
        partial(endpoint, kind="down"),
        partial(endpoint, kind="answers"),
    ),
    Probe(
        "endpoint-hangs",
        partial(endpoint, kind="hangs"),
        partial(endpoint, kind="answers"),
    ),
    Probe(
        "shutdown-status",
        partial(shutdown, broken=True),
        partial(shutdown, broken=False),
    ),
]
