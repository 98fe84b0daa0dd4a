"""A headless Chromium, driven by its DevTools protocol over a WebSocket of our own."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

from tests.support import PATIENCE, wait_until

NAMES = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
AXE = "axe-core@4.14.1"
_COMPLAINTS = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")


def found() -> str | None:
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def axe(directory: Path) -> str | None:
    """Return the source of axe-core, fetched by npm; None where that cannot be had."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    command = [npm, "pack", AXE, "--silent", "--no-audit", "--no-update-notifier"]
    try:
        subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    (archive,) = directory.glob("*.tgz")
    with tarfile.open(archive) as files:
        source = files.extractfile("package/axe.min.js")
        assert source is not None
        return source.read().decode()


class Chromium:
    """A browser with one page."""

    def __init__(self, executable: str, directory: Path) -> None:
        command = [executable, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        command += ["--disable-dev-shm-usage", "--disable-background-networking"]
        command += ["--remote-debugging-port=0", f"--user-data-dir={directory}", "about:blank"]
        home = {"HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}  # for crash reports
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **home},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._open: list[Any] = []
        try:
            self._connect(directory / "DevToolsActivePort")
        except BaseException:
            self.close()
            raise

    def _connect(self, told: Path) -> None:
        wait_until(lambda: told.exists() and told.read_text().count("\n"), "Chromium's start")
        port = int(told.read_text().split()[0])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=PATIENCE) as answer:
            pages = [one for one in json.load(answer) if one["type"] == "page"]
        path = pages[0]["webSocketDebuggerUrl"].partition(str(port))[2]
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._open.append(self._socket)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._stream = self._socket.makefile("rb")
        self._open.append(self._stream)
        while self._stream.readline().strip():
            pass
        self._number = 0
        self._events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._send(json.dumps(message).encode())
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._events.append(answer)

    def go(self, address: str, width: int, scheme: str) -> list[str]:
        """Open an address and return what the console says of it."""
        self._events.clear()
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=address)
        return self._loaded()

    def enter(self) -> list[str]:
        """Press Enter on a button, and return what the console says of the page that follows."""
        self._events.clear()
        key = {"key": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, **key)
        return self._loaded()

    def _loaded(self) -> list[str]:
        while not any(one["method"] == "Page.loadEventFired" for one in self._events):
            self._events.append(self._receive())
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
        return [json.dumps(one) for one in self._events if one["method"] in _COMPLAINTS]

    def run(self, expression: str) -> Any:
        """Return what a JavaScript expression gives, and the promise that it gives."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def tab(self) -> None:
        """Press the tabulator."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)

    def close(self) -> None:
        """End the browser and all that it has started."""
        for one in self._open:  # a socket that the garbage collector finds is an error elsewhere
            one.close()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()

    def _send(self, payload: bytes) -> None:
        size, mask = len(payload), os.urandom(4)
        head = bytes([0x81])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += b"\xfe" + size.to_bytes(2, "big")
        else:
            head += b"\xff" + size.to_bytes(8, "big")
        repeated = (mask * (size // 4 + 1))[:size]
        masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
        self._socket.sendall(head + mask + masked.to_bytes(size, "big"))

    def _receive(self) -> dict[str, Any]:
        payload = b""
        while True:
            first, second = self._stream.read(2)
            size = second & 127
            if size > 125:
                size = int.from_bytes(self._stream.read(2 if size == 126 else 8), "big")
            payload += self._stream.read(size)
            if first & 0x80:
                message: dict[str, Any] = json.loads(payload)
                return message
