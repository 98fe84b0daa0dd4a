"""Pings of a dead man's switch, such as Healthchecks, which also notices a job that never ran.

Source: https://healthchecks.io/docs/http_api/: `/start`, nothing for success, `/fail`; the service
shows the body of a request, 100 kB at most. The URL is a secret: no message contains it, and the
process that sends a ping for `litestream run` gets it by its standard input.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from litestream import _settings

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = 10.0
"""Seconds that a ping may take."""
BODY = 100_000
VARIABLE = "LITESTREAM_PING"

_BOOT = "import sys; sys.path.append(sys.argv[1]); from litestream._cli.ping import main; main()"
_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def add(parser: argparse.ArgumentParser, about: str) -> None:
    """Add the option to a parser."""
    parser.add_argument(
        "--ping",
        type=url,
        metavar="URL",
        help=f"{about}: a URL such as Healthchecks gives (default: ${VARIABLE})",
    )


def url(text: str) -> str:
    """Return the argument if it is a URL; the error for any other does not show it."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError("must be a URL: https://… or http://…")
    return text


def chosen(option: str | None) -> str | None:
    """Return the URL of the option, else of the variable.

    Raises:
        ConfigurationError: The variable is not a URL.

    """
    from litestream.errors import ConfigurationError

    value = os.environ.get(VARIABLE)
    if option is not None or not value:
        return option
    try:
        return url(value)
    except argparse.ArgumentTypeError as error:
        raise ConfigurationError(f"The variable {VARIABLE} cannot be used: it {error}") from None


def send(to: str, event: str = "", lines: Iterable[str] = ()) -> str:
    """Send a ping, and return why it failed; empty if it arrived."""
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(_sent(to, event, lines)), daemon=True)
    thread.start()
    thread.join(LIMIT)
    return said[0] if said else f"no answer within {LIMIT:g} s"


class Pings:
    """The pings of a process that must not wait: after syncs, and at failures."""

    def __init__(self, to: str, every: float) -> None:
        self._to = to
        self._every = every
        self._last = 0.0
        self._lines: deque[str] = deque(maxlen=200)
        self._failed = False
        self._sender = 0

    def look(self, synced: float) -> None:
        """Send a ping if a sync followed the last ping, and that is long enough ago."""
        now = time.monotonic()
        if synced > self._last and now >= self._last + self._every:
            self._last, self._failed = now, False
            start(self._to, "", ())

    def hear(self, line: str) -> None:
        """Keep a line of the log."""
        self._lines.append(line)

    def failed(self, because: str) -> None:
        """Send the last lines of the log, once until the next sync."""
        self.hear(because)
        if not self._failed:
            self._failed = True
            self._sender = start(self._to, "fail", self._lines)

    def end(self) -> None:
        """Wait until a failure is sent: a container ends with this process."""
        deadline = time.monotonic() + LIMIT
        with contextlib.suppress(ChildProcessError):  # reaped already
            while self._failed and self._sender and time.monotonic() < deadline:
                if os.waitpid(self._sender, os.WNOHANG)[0]:
                    return
                time.sleep(0.02)


def start(to: str, event: str, lines: Iterable[str]) -> int:
    """Send a ping from another process, and return its id; that process warns of failures."""
    import subprocess

    with contextlib.suppress(OSError), tempfile.TemporaryFile() as file:
        file.write(json.dumps([to, event, list(lines)]).encode())
        file.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT, _PACKAGES],
            stdin=file,
            stdout=subprocess.DEVNULL,
        )
        process.returncode = 0  # reaped with all other children
        return process.pid
    return 0


def main() -> None:
    """Send the ping that standard input describes."""
    to, event, lines = json.load(sys.stdin)
    failed = send(to, event, lines)
    if failed:
        warn("run", failed)


def warn(verb: str, failed: str) -> None:
    """Warn of a failed ping: it never changes an exit status."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"litestream {verb}: warning: the ping failed: {failed}", file=sys.stderr)


def body(lines: Iterable[str]) -> bytes:
    """Return the last lines as a body, as many as fit, secrets masked."""
    text = _settings.masked("\n".join(lines))
    content = text.encode("utf-8", "backslashreplace")
    return content[-BODY:].decode("utf-8", "ignore").encode()


def _sent(to: str, event: str, lines: Iterable[str]) -> str:
    import http.client
    import urllib.error
    import urllib.request

    parts = urlsplit(to)
    path = f"{parts.path.rstrip('/')}/{event}" if event else parts.path
    target = urlunsplit(parts._replace(path=path, fragment=""))
    try:
        request: Any = urllib.request.Request(target, data=body(lines))  # noqa: S310
        request.add_header("Content-Type", "text/plain; charset=utf-8")
        request.add_header("User-Agent", "litestream")
        with urllib.request.urlopen(request, timeout=LIMIT):  # noqa: S310 - http(s): see `url`
            return ""
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            return f"HTTP status {error.code}"
    except urllib.error.URLError as error:
        reason = error.reason
        return (reason.strerror if isinstance(reason, OSError) else "") or type(reason).__name__
    except (OSError, ValueError, http.client.HTTPException) as error:
        return type(error).__name__  # its message may contain the URL
