"""The client of the 0.5 daemon's control socket: HTTP/1.1 over a Unix socket."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import TYPE_CHECKING, Any

from litestream import _settings
from litestream._executable.arguments import require_positive
from litestream.errors import ControlSocketError

if TYPE_CHECKING:
    from litestream.rows import InfoRow, ManagedRow, SyncResult

_POLL_FIRST, _POLL_LAST = 0.01, 0.25  # seconds between two bare syncs


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class ControlSocket:
    """A control socket; each request has its own connection and ``timeout`` seconds."""

    def __init__(self, path: str, timeout: float = 10.0) -> None:
        require_positive(timeout)
        self.path = path
        self.timeout = timeout

    def info(self) -> InfoRow:
        """Return the daemon's version, pid and start."""
        answer: InfoRow = self.request("GET", "/info")
        return answer

    def list(self) -> list[ManagedRow]:
        """Return the databases that the daemon manages."""
        rows = self.request("GET", "/list")["databases"] or []
        return [
            {
                "path": row["path"],
                "status": row["status"],
                "last_sync_at": row.get("last_sync_at"),
            }
            for row in rows
        ]

    def sync(self, database: str) -> SyncResult:
        """Request a sync and return at once: the only safe form of the request.

        ``wait`` and ``timeout`` are never sent. With either of them, 0.5.17 begins its long-lived
        read transaction in the request's context and loses it when the request ends. From then
        on, the daemon may miss frames of the WAL for good, without an error.
        Source: server.go and db.go of 0.5.17; ``TestTrap1`` in the tests shows it.
        """
        answer = self.request("POST", "/sync", {"path": database})
        return {
            "path": answer.get("path", database),
            "status": answer.get("status", ""),
            "txid": int(answer.get("txid", 0)),
            "replicated_txid": int(answer.get("replicated_txid", 0)),
        }

    def sync_and_wait(self, database: str, timeout: float) -> SyncResult:
        """Return when everything committed before the call is in the replica.

        Raises:
            ControlSocketError: The replica did not hold it after ``timeout`` seconds.

        """
        deadline = time.monotonic() + timeout
        pause = _POLL_FIRST
        first = answer = self.sync(database)
        while answer["replicated_txid"] < first["txid"] or not first["txid"]:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ControlSocketError(
                    f"{database!r} was not replicated within {timeout:g} s: the replica is at "
                    f"transaction {answer['replicated_txid']}, {first['txid']} is wanted. Look at "
                    "the daemon's log, and whether the replica's endpoint answers"
                )
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _POLL_LAST)
            answer = self.sync(database)
            first = first if first["txid"] else answer
        return answer

    def request(self, method: str, target: str, body: dict[str, Any] | None = None) -> Any:
        """Send one request and return the JSON of its answer."""
        connection = _Connection(self.path, self.timeout)
        try:
            payload = None if body is None else json.dumps(body)
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, target, payload, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._silent(error) from error
        finally:
            connection.close()
        return self._answer(response.status, content)

    def _answer(self, status: int, content: bytes) -> Any:
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if status == 200 and isinstance(answer, dict):
            return answer
        said = content.decode("utf-8", "replace").strip()[:200]
        if isinstance(answer, dict):
            said = ": ".join(str(answer[key]) for key in ("error", "details") if answer.get(key))
        raise ControlSocketError(
            f"The daemon at {self.path!r} refused the request (HTTP {status}): "
            f"{_settings.masked(said)}",
            status,
        )

    def _silent(self, error: Exception) -> ControlSocketError:
        because = str(error) or type(error).__name__
        if isinstance(error, TimeoutError):
            because = f"no answer within {self.timeout:g} s; it may be waiting for the endpoint"
        return ControlSocketError(
            f"No daemon answers at the control socket {self.path!r}: {because}. Start 'litestream "
            "replicate' with 'socket: {enabled: true}' in its config, or pass socket="
        )
