"""A request to the control socket that never blocks, for the loop that also reads the log."""

from __future__ import annotations

import socket


class Request:
    """One request under way; `poll` returns the answer as soon as the answer is complete.

    `client` is for callers that may wait. The supervisor may not: a daemon that waits for its
    replica's endpoint answers after minutes, and its log must be drained meanwhile. The request is
    HTTP/1.0, so that the answer ends with the connection.

    Raises:
        OSError: Nothing listens there, or the connection broke.

    """

    def __init__(self, path: str, method: str, target: str, body: bytes = b"") -> None:
        self._answer = bytearray()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(path)
            head = f"{method} {target} HTTP/1.0\r\nHost: litestream\r\nContent-Length: {len(body)}"
            self._socket.sendall(head.encode() + b"\r\n\r\n" + body)
        except BaseException:
            self._socket.close()
            raise

    def poll(self) -> tuple[int, bytes] | None:
        """Return the HTTP status and the content, or None while the answer is not complete."""
        try:
            while piece := self._socket.recv(65536):
                self._answer += piece
        except BlockingIOError:
            return None
        except BaseException:
            self._socket.close()
            raise
        self._socket.close()
        head, _, content = bytes(self._answer).partition(b"\r\n\r\n")
        words = head.split(b" ", 2)
        return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), content

    def close(self) -> None:
        """Give the request up; the daemon still carries it out."""
        self._socket.close()
