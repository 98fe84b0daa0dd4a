"""Replication that looks after itself: one supervised daemon around an application."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import TYPE_CHECKING

from litestream._config import runtime_directory
from litestream._config.config import Config, absolute
from litestream._executable.series import series
from litestream._replication import daemon_config
from litestream._replication.guard import guard, require_permitted
from litestream._replication.keeper import Keeper
from litestream._replication.status import Told
from litestream._replication.sync import sync
from litestream._replication.watch_thread import ANSWER, WatchThread
from litestream._replication.watcher import Watcher
from litestream._supervision.backoff import DELAYS
from litestream._supervision.final_sync import STOP_TIMEOUT
from litestream.errors import ConfigurationError, ReplicationError, ReplicationTimeoutError

if TYPE_CHECKING:
    from typing_extensions import Self

    from litestream._config.config import ConfigArgument
    from litestream._replication.status import State

__all__ = ["Replication"]


class Replication:
    """Replicate databases for as long as a `with` or `async with` block lasts.

    ::

        with litestream.Replication():                      # what litestream.yml says
            serve()

        with litestream.Replication({"app.db": "file:///backups/app"}):
            serve()

    ``config`` is the config's path, or a mapping of each database's path to its replica (see
    ``configure``, also for the places where a config is looked for). The daemon gets the file
    unchanged, with two exceptions. On 0.5, the control socket is switched on, in a private run-time
    directory, unless the config has a ``socket:``. On 0.3, a log level above "info" is lowered,
    because only the log shows what has arrived in the replica; log lines below the config's level
    are not passed on. With
    ``expand_env=False`` variables in the file are not replaced. A mapping needs no file: changes
    are looked for every ``sync_interval`` seconds, and sent as often, unless the replica has a
    ``sync-interval``. A symbolic link in a mapping stands for the file to which it leads when this
    object is made; in a config file it is refused.

    There is one daemon for a database on a host. While another process runs it, this one stands
    by (``state == "standby"``) and takes over, within half a second, when that process ends. A
    daemon that ends is started again: at once, then with delays that double from 0.5 to 30 s while
    it does not live long. The daemon ends with this process, however the process ends, SIGKILL
    included, after a final sync.

    If the replica already holds backups, and the database has no local state of Litestream and was
    not restored by ``recover``, the start raises BackupExistsError, unless ``adopt`` is true.

    ``max_restarts`` limits the restarts; then ``state`` is ``"failed"``. ``stop_timeout`` is the
    number of seconds that the final sync may take before the daemon is killed; upstream's own
    limit is 30. The daemon's log lines are records of ``logging.getLogger("litestream.daemon")``.
    """

    def __init__(
        self,
        config: ConfigArgument = None,
        *,
        adopt: bool = False,
        max_restarts: int | None = None,
        stop_timeout: float = STOP_TIMEOUT,
        sync_interval: float = 1.0,
        expand_env: bool = True,
    ) -> None:
        # Absolute from now on: the application may change its directory, and need another daemon.
        self._directory = ""
        self._config = absolute(config)
        self._expand_env = expand_env
        self._adopt = adopt
        self._max_restarts = max_restarts
        self._stop_timeout = stop_timeout
        self._sync_interval = sync_interval
        self._delays = DELAYS
        self._socket = ""
        self._keeper: Keeper | None = None
        self._directories: WatchThread | None = None
        self._told = Told()
        self._starting = threading.Lock()

    @property
    def state(self) -> State:
        """Return the state of the replication.

        ``"starting"``, ``"replicating"``, ``"mending"`` (changes are missing from the replica, and
        are being copied again), ``"stalled"`` (the daemon runs, but nothing reaches the replica:
        see ``stalled_for``), ``"standby"`` (another process replicates), ``"backing off"`` (the
        daemon ended and will be started again), ``"stopped"``, ``"failed"``.
        """
        return self._told.state

    @property
    def pid(self) -> int | None:
        """Return the daemon's process id, or None while there is none."""
        return self._told.pid

    @property
    def restarts(self) -> int:
        """Return how often the daemon was started again."""
        return self._told.restarts

    @property
    def last_error(self) -> str | None:
        """Return the daemon's last error in its own words, secrets masked."""
        return self._told.last_error

    @property
    def stalled_for(self) -> float:
        """Return the seconds since the last sync while stalled, else 0."""
        return self._told.age if self._told.state == "stalled" else 0.0

    @property
    def logs(self) -> list[str]:
        """Return the last 200 lines of the daemon's log, secrets masked."""
        return list(self._told.log.lines)

    @property
    def socket(self) -> str | None:
        """Return the control socket's path (0.5), or None when there is none."""
        return self._socket or None

    def start(self) -> Self:
        """Start the daemon; return when it runs, will be started again, or another process has it.

        Raises:
            ConfigurationError: The config cannot be read, or replicates nothing on this series; or
                a database's folder is missing or read-only.
            BackupExistsError: The replica already holds backups of another database.
            UnusableDatabaseError: This user may not use a database, or what stands beside it.
            CommandFailedError, CommandTimeoutError: A replica cannot be asked what it holds.
            ReplicationError: The daemon ended at once; its own words say why.

        """
        if not self._starting.acquire(blocking=False):
            raise ConfigurationError(
                "This Replication is being started by another thread. Start it once"
            )
        try:
            self._start()
        finally:
            self._starting.release()
        return self

    def _start(self) -> None:
        if self._keeper is not None:
            raise ConfigurationError(
                "This Replication has been started already. Start it once, or stop it first"
            )
        self._told.forget()
        self._directories = None
        self._directory = os.getcwd()
        source = self._source()
        prepared = daemon_config.prepare(source, self._sync_interval)
        try:
            if self._adopt:
                require_permitted(prepared.databases)
            else:
                guard(prepared.databases)
            self._socket = prepared.socket
            self._keeper = Keeper(
                prepared,
                self._told,
                self._directory,
                stop_timeout=float(self._stop_timeout),
                max_restarts=self._max_restarts,
                delays=self._delays,
            )
            _running.add(self)
            self._keeper.wait_for_start()
            self._watch(source, self._keeper)
        except BaseException:
            self.stop()
            runtime_directory.remove(prepared.directory)
            raise

    def stop(self) -> bool:
        """End the replication, and return whether the final sync reached the replica.

        Everything committed before the call is sent, for at most ``stop_timeout`` seconds; then
        the daemon is killed, and a warning logged. On standby, and in a second call, there is
        nothing to do: True. In a forked child nothing happens.
        """
        keeper = self._keeper
        if keeper is None:
            return self._told.synced is not False
        lack = ""
        if not keeper.stopping:
            try:
                self._look(min(ANSWER, self._stop_timeout))  # for the final sync
            except ReplicationTimeoutError as error:
                lack = str(error)
        lack = (lack or self._lack) if self._told.state != "standby" else ""
        keeper.stop()
        _running.discard(self)
        self._keeper = None
        self._told.pid = None
        if lack:
            self._told.synced, self._told.last_error = False, lack
        if self._told.synced is False:
            self._told.log.warn(
                f"the final sync did not reach the replica: {self._told.last_error}"
            )
        return self._told.synced is not False

    def sync(self, database: str | os.PathLike[str] | None = None, timeout: float = 30.0) -> None:
        """Return when everything committed before the call is in the replica.

        Wait for ``database``, or without it for all databases, including those that have just
        appeared in a watched directory. On standby, wait for the daemon of the other process. Call
        this before your application says "saved".

        Raises:
            ReplicationTimeoutError: The replica did not have it after ``timeout`` seconds, or the
                process that keeps the daemon does not answer.
            ConfigurationError: The database is not one of those replicated; or, for all of them,
                something in a directory that is watched cannot be.

        """
        if self._keeper is None:
            raise ReplicationError("The replication has not been started, or has been stopped")
        sync(self._keeper, self._told, self._directories, database, timeout)

    async def async_sync(
        self, database: str | os.PathLike[str] | None = None, timeout: float = 30.0
    ) -> None:
        """Do as ``sync``, for a coroutine: others run while it waits."""
        import asyncio

        await asyncio.to_thread(self.sync, database, timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        from litestream._replication.cancelled_start import started

        await started(self.start, self.stop)
        return self

    async def __aexit__(self, *_: object) -> None:
        import asyncio

        await asyncio.to_thread(self.stop)

    def __repr__(self) -> str:
        return f"<litestream.Replication {self._told.state}, {self._told.restarts} restarts>"

    def _source(self) -> Config:
        # The config's own private file is never written: the daemon has one with a socket.
        config = Config.load(self._config, series(), expand_env=self._expand_env)
        return daemon_config.sound(config)

    def _watch(self, source: Config, keeper: Keeper) -> None:
        """Watch the directories of the config, where it wants that."""
        if daemon_config.is_watched(source):
            watcher = Watcher(
                source, keeper.prepared, self._sync_interval, self._told.fault, adopt=self._adopt
            )
            self._directories = WatchThread(watcher, keeper, self._told)

    def _look(self, timeout: float = ANSWER) -> None:
        if self._directories is not None:
            self._directories.look(timeout)

    @property
    def _lack(self) -> str:
        """Return why something in the directories of the config is not replicated, if so."""
        return self._directories.lack if self._directories is not None else ""

    def _after_fork(self) -> None:
        """Leave everything to the parent: the pipe, the keeper, the listener."""
        if self._keeper is not None:
            self._keeper.disown()
        self._keeper = self._directories = None
        self._socket = ""
        self._told = Told()


_running: weakref.WeakSet[Replication] = weakref.WeakSet()


def _forked() -> None:
    for replication in list(_running):
        replication._after_fork()  # noqa: SLF001
    _running.clear()


@atexit.register
def _stop_all() -> None:
    for replication in list(_running):
        replication.stop()


os.register_at_fork(after_in_child=_forked)
