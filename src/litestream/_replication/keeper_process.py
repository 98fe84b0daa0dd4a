"""The application's end of the pipe to the keeper of a daemon (see `_supervision.keeper`)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any

from litestream import _settings
from litestream._database.headers import python
from litestream._supervision.job import packed
from litestream.errors import ReplicationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestream._supervision.job import Job

_OPTIONS = ("-I", "-S")
"""Without `site` and the user's settings a keeper starts in half the time. It needs nothing but
the standard library and this package."""
_BOOT = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from litestream._supervision.keeper import main; main()"
)
_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_REAP = 5.0
_PAUSE = 0.01
"""Seconds between two tries to write into a full pipe."""

_orphaned: list[object] = []
"""Pipes inherited by fork, already closed; kept alive so that the garbage collector does not close
whatever reuses their numbers."""


class KeeperProcess:
    """A keeper, and the thread that listens to it.

    The keeper runs in `directory`, to which a config's relative paths refer. `receive` is called
    with each of its events, `ended` when it has ended; both in that thread. A keeper that was
    stopped (SIGSTOP) reads nothing: a job may be larger than what its pipe takes, so no write
    blocks.
    """

    def __init__(
        self,
        job: Job,
        receive: Callable[[dict[str, Any]], None],
        ended: Callable[[], None],
        directory: str,
    ) -> None:
        self._receive = receive
        self._ended = ended
        interpreter = python()
        try:
            self._process = subprocess.Popen(
                [interpreter, *_OPTIONS, "-c", _BOOT, _PACKAGES],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=_settings.environment(),
                start_new_session=True,  # Ctrl-C is for the application
            )
        except OSError as error:
            raise ReplicationError(
                f"The process that keeps the daemon cannot be started with {interpreter!r} in "
                f"{directory!r}: {error.strerror}. If the application is frozen, or embeds Python, "
                "run it with 'litestream run' instead"
            ) from error
        self.pid = self._process.pid
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        os.set_blocking(self._pipe, False)
        self._sending = threading.Lock()
        self._is_closing = False
        self._begun = b""  # what is left of a job: a part of one would spoil the next
        self._newest = deque([packed(job)], maxlen=1)
        self._thread = threading.Thread(target=self._listen, name="litestream", daemon=True)
        self._thread.start()

    def replace(self, job: Job) -> None:
        """Take another job, for `send` to send; a job that was not begun yet is dropped."""
        self._newest.append(packed(job))

    def send(self, timeout: float) -> bool:
        """Send the newest job, and return whether the pipe took it within `timeout` seconds.

        The next call goes on where this call ends. Where the keeper has ended, nothing is left.
        """
        deadline = time.monotonic() + timeout
        if not self._sending.acquire(timeout=max(0.0, timeout)):
            return False
        try:
            while (self._begun or self._newest) and not self._is_closing:
                self._begun = self._begun or self._newest.popleft()
                try:
                    self._begun = self._begun[os.write(self._pipe, self._begun) :]
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        return False
                    time.sleep(_PAUSE)
                except OSError:  # the listener tells why it ended
                    self._begun = b""
        finally:
            self._sending.release()
        return True

    def end(self, timeout: float) -> bool:
        """Let the keeper stop the daemon; return whether it has ended within `timeout` seconds."""
        self._close()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def kill(self) -> None:
        """Kill the keeper. On Linux its daemon gets SIGTERM or SIGKILL then."""
        self._process.kill()
        self._thread.join(_REAP)

    def reap(self) -> None:
        """Take the keeper's exit status, and close the pipes."""
        # gunicorn's master may have taken the status: Popen then reports 0.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP)
        self._close()
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdout.close()

    def disown(self) -> None:
        """Leave the keeper to the parent of this forked process: close our copies of the pipes."""
        self._process.returncode = 0  # it is no child of ours
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                with contextlib.suppress(OSError):
                    os.close(stream.fileno())
                _orphaned.append(stream)

    def _close(self) -> None:
        """Close the pipe, once no thread writes into it."""
        assert self._process.stdin is not None
        self._is_closing = True
        with self._sending, contextlib.suppress(OSError):
            self._process.stdin.close()

    def _listen(self) -> None:
        self.send(threading.TIMEOUT_MAX)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                event = json.loads(line)
            except ValueError:  # a traceback of the keeper's
                event = {"log": line.decode("utf-8", "replace").rstrip()}
            try:
                self._receive(event)
            except Exception:
                # A logging filter of the application, for one. Only this thread drains the pipe.
                traceback.print_exc()
        self._ended()
