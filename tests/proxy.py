"""A proxy on loopback, between a daemon and its S3 server, that makes trouble when asked."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from tests.support import free_port


class Proxy:
    """Passes bytes on to a port of 127.0.0.1, as `mode` says.

    `"pass"`; `"slow"` (half a second for each connection); `"reset"`; `"hang"` (accepts and never
    answers); `"500"`, `"503"` (answers so); `"down"` (nobody listens).
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self.mode = "pass"
        self.refused = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set(self, mode: str) -> None:
        """Change the mode; connections that are open are cut."""
        with self._lock:  # no connection comes in between
            self.mode = mode
            self._cut()

    def close(self) -> None:
        self._stop.set()
        with self._lock:
            self._cut()
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        listener: socket.socket | None = None
        while not self._stop.is_set():
            if self.mode == "down":
                if listener is not None:
                    listener.close()
                    listener = None
                time.sleep(0.02)
                continue
            if listener is None:
                listener = socket.socket()
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", self.port))
                listener.listen(64)
                listener.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                client, _ = listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,))
                self._threads.append(thread)
                thread.start()
        if listener is not None:
            listener.close()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._sockets.append(client)
            mode = self.mode
        with client, contextlib.suppress(OSError):
            if mode == "down":
                self.refused += 1
            elif mode == "reset":
                self.refused += 1
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            elif mode == "hang":
                self.refused += 1
                client.settimeout(600)
                while client.recv(65536):  # until the connection is cut
                    pass
            elif mode.isdigit():
                self.refused += 1
                client.settimeout(5)
                client.recv(65536)
                client.sendall(f"HTTP/1.1 {mode} no\r\nContent-Length: 0\r\n\r\n".encode())
            else:
                time.sleep(0.5 if mode == "slow" else 0)
                self._pass_on(client)

    def _pass_on(self, client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self.target)) as server:
            back = threading.Thread(target=_copy, args=(server, client))
            back.start()
            _copy(client, server)
            back.join()

    def _cut(self) -> None:
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
