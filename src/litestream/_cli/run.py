"""`litestream run`: recover, guard, replicate, and run a command beside the daemon.

Litestream's own `-exec` is not used: it turns every exit status into 1, skips the final sync when
the command ends non-zero after a signal, and replicates nothing of a command that is done within a
second.

This may be PID 1 of a container: a process without threads, which reaps orphans, forwards signals
to the command, and exits with the command's status once the daemon has synced.

The command never runs unreplicated: if supervision fails, the command is ended first. If this
process is killed, Linux sends SIGTERM to the command and the daemon. macOS does not: the command
runs on, and the daemon until it logs its next line, which nobody reads (SIGPIPE).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING

from litestream import _settings, recovery
from litestream._cli import before_run, ping
from litestream._cli.arguments import with_two_dashes
from litestream._cli.command import Command, become
from litestream._cli.run_report import Report
from litestream._cli.voice import Voice
from litestream._config import runtime_directory
from litestream._database.open_files import raise_file_limit
from litestream._executable import side_by_side
from litestream._executable.arguments import loaded
from litestream._replication import daemon_config
from litestream._replication.guard import guard, require_permitted
from litestream._replication.watcher import EVERY, Watcher
from litestream._supervision.supervisor import Supervisor
from litestream.errors import LitestreamError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from litestream._config.config import Config
    from litestream._config.database import Database

_LAST_LOOK = 5.0
"""Seconds that the replicas of new databases have to answer before the final sync."""
_NOT_FORWARDED = {
    getattr(signal, name, None)
    for name in (
        *("SIGKILL", "SIGSTOP", "SIGCHLD", "SIGTTIN", "SIGTTOU", "SIGTSTP", "SIGPIPE", "SIGXFSZ"),
        *("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS"),
    )
}


def run(arguments: Sequence[str]) -> int:
    """Run ``litestream run`` and return its exit status.

    ``arguments`` follow ``run`` on the command line. Status 1: a database cannot be recovered or
    replicated; 2: wrong usage; 126 or 127: the command cannot be run.
    """
    own, command = list(arguments), []
    if "--" in own:
        at = own.index("--")
        own, command = own[:at], own[at + 1 :]
    parser = before_run.parser()
    options = parser.parse_args(with_two_dashes(own))
    if options.optional and not command:
        parser.error("--optional needs a command: name it after --")
    _fill_standard_files()
    voice = Voice(quiet=options.quiet, as_json=options.log_format == "json")
    try:
        if options.optional:
            expand_env = options.expand_env
            reason = before_run.without_replica(options.config, expand_env=expand_env)
            if reason:
                voice.say(f"not replicated: {reason}")
                return become(command, voice)
        to = ping.chosen(options.ping)
        pings = ping.Pings(to, options.ping_every) if to else None
    except LitestreamError as error:
        voice.say(str(error), "ERROR")
        return 1
    this = _Run(command, options, voice, pings)
    try:
        with loaded(options.config, expand_env=options.expand_env) as config:
            return this.run(config)
    except LitestreamError as error:
        text = before_run.advice(error, present=this.is_whole)
        voice.say(text, "ERROR")
        if pings is not None:
            pings.failed(text)
        return 1
    finally:
        if pings is not None:
            pings.end()


class _Run:
    def __init__(
        self,
        command: list[str],
        options: argparse.Namespace,
        voice: Voice,
        pings: ping.Pings | None = None,
    ) -> None:
        self._command = Command(command, voice)
        self._pings = pings
        self._options = options
        self._say = voice.say
        self._report = Report(voice, pings)
        self.is_whole = False
        """Whether every database of the config exists."""
        self._wish: int | None = None  # a signal that arrived while no command ran
        self._selector = DefaultSelector()
        self._supervisor: Supervisor | None = None
        self._watcher: Watcher | None = None
        self._look_at = 0.0
        self._is_stopping = False

    def run(self, config: Config) -> int:
        self._listen()
        self._file_limit = raise_file_limit()
        daemon_config.sound(config)
        if config.directories:  # restored first, so that `prepare` finds them
            with before_run.Waiting([], self._say) as waiting:
                self._recover(config, waiting)
        prepared = daemon_config.prepare(config, 1.0)
        try:
            self._prepare(config, prepared.databases)
            # The settings of configure() are for the daemon, not for the command.
            self._supervisor = Supervisor(
                prepared.job(), self._selector, self._report.hear, _settings.environment()
            )
            if daemon_config.is_watched(config):
                adopt = self._options.adopt
                self._watcher = Watcher(config, prepared, 1.0, self._say, adopt=adopt)
            status = self._loop(self._supervisor)
            self._report.take_stock(prepared.databases)
            return status
        finally:
            self._command.end()
            runtime_directory.remove(prepared.directory)

    def _prepare(self, config: Config, databases: Sequence[Database]) -> None:
        """Restore the missing databases; refuse those that cannot, or must not, be replicated.

        Raises:
            LitestreamError: Neither the daemon nor the command may start.

        """
        options = self._options
        self.is_whole = not before_run.unborn(databases)
        before_run.require_databases(databases)
        with before_run.Waiting(databases, self._say) as waiting:
            if not config.directories:
                self._recover(config, waiting)
            if options.adopt:
                require_permitted(databases)
            else:
                guard(databases, answer_timeout=options.timeout, progress=waiting.progress)

    def _recover(self, config: Config, waiting: before_run.Waiting) -> None:
        options = self._options
        for done in recovery.recover_all(
            config,
            expect=options.expect,
            answer_timeout=options.timeout,
            progress=waiting.progress,
        ):
            if done.action == "restored":
                self._say(recovery.told(done), "INFO")
            elif done.action == "no backup":
                self._say(f"{done.database!r} does not exist yet and has no backup")

    def _loop(self, supervisor: Supervisor) -> int:
        while not supervisor.finished or self._command.runs:
            pause = 1.0 if supervisor.finished else supervisor.tick()
            if time.monotonic() > self._look_at:
                self._look(supervisor, lambda: self._is_wanted(supervisor))
            if self._pings is not None:
                self._pings.look(supervisor.synced)
            if supervisor.state == "failed":  # the command must not go on unreplicated
                break
            for key, _ in self._selector.select(pause):
                key.data()
            if self._wish is not None and not self._command.pid:
                if self._command.is_due:  # a signal before the command's start
                    self._command.status = 128 + self._wish
                self._stop(supervisor)
            elif self._command.is_due and supervisor.state in _UP:
                self._command.start(self._file_limit)
                if self._wish is not None:  # the signal arrived during the start
                    self._command.signal(self._wish)
            if self._command.status is not None:
                self._stop(supervisor)
        if self._command.status is not None:
            return self._command.status
        return 0 if self._report.synced and supervisor.state != "failed" else 1

    def _look(self, supervisor: Supervisor, over: Callable[[], bool]) -> bool:
        """Look at the directories of the config, if any is watched; False if that was cut short.

        A new database has its replica asked, which may not answer for long.
        """
        self._look_at = time.monotonic() + EVERY
        if self._watcher is None:
            return True
        try:
            with side_by_side.until(over):
                prepared = self._watcher.look(stands_by=supervisor.state == "standby")
        except side_by_side.NotWantedError:
            return False
        if prepared is not None:
            supervisor.replace(prepared.job())
        return True

    def _is_wanted(self, supervisor: Supervisor) -> bool:
        """Tell whether the loop has more to do than to look: a signal, or a process that ended."""
        for pid in (self._command.pid if self._command.runs else 0, supervisor.pid):
            with contextlib.suppress(ChildProcessError):
                if pid:
                    self._changed(*os.waitpid(pid, os.WNOHANG | os.WUNTRACED))
        signalled = self._wish is not None and not self._command.pid
        return signalled or self._command.status is not None or supervisor.pid in supervisor.reaped

    def _stop(self, supervisor: Supervisor) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            end = time.monotonic() + _LAST_LOOK  # new databases belong to the final sync
            looked = self._look(supervisor, lambda: time.monotonic() > end)
            if self._watcher is not None and supervisor.state != "standby":
                self._report.lack = self._watcher.lack
                if not looked:
                    self._report.lack = (
                        "the replica of a new database in a directory did not answer"
                    )
            self._watcher = None
        supervisor.stop()

    def _listen(self) -> None:
        """Let every signal wake the loop.

        Signals that were ignored at the start (by nohup, or a script's background job) stay
        ignored, in the command, too.
        """
        reader, writer = os.pipe()
        for file in (reader, writer):
            os.set_blocking(file, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._selector.register(reader, EVENT_READ, lambda: self._signalled(reader))
        for number in signal.valid_signals() - _NOT_FORWARDED:
            if signal.getsignal(number) is signal.SIG_IGN:
                continue
            with contextlib.suppress(OSError, ValueError):  # reserved by the C library
                signal.signal(number, self._forward)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _forward(self, number: int, _frame: object) -> None:
        if self._command.runs:
            self._command.signal(number)
        elif number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            if self._supervisor is None:  # a restore is running
                raise SystemExit(128 + number)
            self._wish = number

    def _signalled(self, reader: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(reader, 4096)
        assert self._supervisor is not None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._changed(pid, status)

    def _changed(self, pid: int, status: int) -> None:
        """Take a wait status of a child."""
        assert self._supervisor is not None
        if pid and pid == self._command.pid:
            self._command.changed(status)
        elif pid and pid == self._supervisor.pid and not os.WIFSTOPPED(status):
            self._supervisor.reaped[pid] = status


_UP = ("replicating", "standby", "stalled")


def _fill_standard_files() -> None:
    """Open /dev/null as 0, 1 and 2 where they are closed: no lock or log may get these numbers."""
    while (file := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(file)
