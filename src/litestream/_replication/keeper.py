"""The keeper of one daemon, which is replaced by another one when it is killed."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from litestream._config import file as config_file
from litestream._config import runtime_directory
from litestream._database.lock import Lock
from litestream._replication.keeper_process import KeeperProcess
from litestream._supervision.backoff import DELAYS
from litestream._supervision.daemon import orphan_signal
from litestream.errors import (
    ConfigurationError,
    LitestreamError,
    ReplicationError,
    ReplicationTimeoutError,
)

if TYPE_CHECKING:
    from litestream._replication.daemon_config import Prepared
    from litestream._replication.status import Told
    from litestream._supervision.job import Job

_START_TIMEOUT = 30.0
_LAST_WORDS = 5  # lines of a keeper that died
_AT_WORK = ("replicating", "stalled", "mending", "backing off")
_GRACE = 5.0  # for the keeper to end after its daemon has


class Keeper:
    """A process that keeps a daemon, and its successors; `told` gets their events.

    The keeper is started in `directory`, to which a config's relative paths refer. `prepared` says
    which databases it has now. `delay` is the number of seconds before another keeper is started
    in its place; once `stopping` is true, none is started.
    """

    def __init__(
        self,
        prepared: Prepared,
        told: Told,
        directory: str,
        *,
        stop_timeout: float,
        max_restarts: int | None,
        delays: tuple[float, float],
    ) -> None:
        self.delay = 0.5
        self.stopping = False
        self.prepared = prepared
        self._told = told
        self._directory = directory
        self._stop_timeout = stop_timeout
        self._max_restarts = max_restarts
        self._delays = delays
        self._process: KeeperProcess | None = None
        self._launch()

    @property
    def pid(self) -> int:
        """Return the process id of the keeper that runs now."""
        assert self._process is not None
        return self._process.pid

    def wait_for_start(self) -> None:
        """Return when the daemon runs, waits for its next start, or another process has it.

        Raises:
            ConfigurationError, ReplicationError: The daemon did not start.

        """
        self._told.wait_while(("stopped", "starting"), _START_TIMEOUT)
        if self._told.misconfigured:
            raise ConfigurationError(self._told.last_error or "")
        if self._told.state in ("stopped", "starting", "failed"):
            raise ReplicationError(
                f"The daemon did not start: {self._told.last_error or 'no answer'}"
            )

    def replace(self, prepared: Prepared) -> None:
        """Let the keeper go on with other databases, which `send` sends."""
        with self._told.changed:  # or a keeper that is being launched would not know of them
            self.prepared, process = prepared, self._process
        assert process is not None
        process.replace(self._job())

    def send(self, timeout: float) -> None:
        """Send the keeper what it was given last.

        Raises:
            ReplicationTimeoutError: It has not taken that after `timeout` seconds.

        """
        assert self._process is not None
        if not self._process.send(timeout):
            raise ReplicationTimeoutError(
                f"The process that keeps the daemon (process id {self.pid}) does not answer: it "
                f"has not read the new list of databases within {timeout:.3g} s. Continue it "
                f"('kill -CONT {self.pid}'), or kill it: another process is started in its place"
            )

    def stop(self) -> None:
        """Let the keeper stop its daemon; kill both if that takes too long."""
        with self._told.changed:
            process, self.stopping = self._process, True
            self._told.changed.notify_all()
        assert process is not None
        if not process.end(self._stop_timeout + _GRACE):
            process.kill()
            self._kill(signal.SIGKILL)
        if self._told.synced is None and self._told.state in _AT_WORK:
            self._told.lose("the process that keeps the daemon ended without a final sync")
            self._kill(orphan_signal(self.prepared.config.series))
            self._told.change("stopped")
        process.reap()
        runtime_directory.remove(self.prepared.directory)  # a keeper that was killed has left it

    def disown(self) -> None:
        """Leave the keeper to the parent of this forked process."""
        assert self._process is not None
        self._process.disown()

    def _launch(self) -> None:
        job = self._job()
        self._process = KeeperProcess(job, self._told.receive, self._ended, self._directory)

    def _job(self) -> Job:
        left = self._max_restarts
        if left is not None:
            left = max(0, left - self._told.restarts)
        return self.prepared.job(
            stop_timeout=self._stop_timeout,
            max_restarts=left,
            delays=self._delays,
        )

    def _ended(self) -> None:
        """Start another keeper in place of one that was killed, or crashed."""
        if self.stopping or self._told.state == "failed":
            return
        if (
            self._told.state == "stopped"
        ):  # it never reported anything: another one would not either
            words = ["its keeper ended at once", *list(self._told.log.lines)[-_LAST_WORDS:]]
            self._told.last_error = "\n".join(words)
            self._told.change("failed")
            return
        self._told.lose("the process that keeps the daemon was killed; starting another")
        self._kill(orphan_signal(self.prepared.config.series))
        self._told.change("backing off")
        with self._told.changed:
            assert self._process is not None
            self._process.reap()
            while not self._told.changed.wait_for(lambda: self.stopping, self.delay):
                self.delay = min(self.delay * 2, DELAYS[1])
                try:
                    if not self.prepared.directory:  # the user's own file, which may be edited
                        config = self.prepared.config
                        config_file.read(config.path, literal=config.literal)
                    # The file may be that of the job before: it is only written if it is missing.
                    runtime_directory.forget(self.prepared.directory)
                    self._launch()
                    return
                except (LitestreamError, OSError) as error:
                    self._told.lose(f"the daemon cannot be started again yet: {error}")

    def _kill(self, number: signal.Signals) -> None:
        """Signal the daemon, if it is still there: then it holds its database's lock."""
        locks = self.prepared.locks
        if self._told.pid is None or not locks:
            return
        lock = Lock(locks[0])
        # Without the folder, the pid may be that of another process: process ids are reused.
        with contextlib.suppress(ProcessLookupError, ConfigurationError):
            if lock.acquire():
                lock.release()
            else:
                os.kill(self._told.pid, number)
