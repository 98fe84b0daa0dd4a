"""`litestream run`: recover, guard, replicate, and run a command beside the daemon.

Not through Litestream's own `-exec`: that turns every exit status into 1, skips the final sync when
the command ends non-zero after a signal, and replicates nothing of one that ends within a second.

It may be PID 1 of a container: one process and no thread, which reaps what is left to it, forwards
signals to the command, and ends with the command's exit status once the daemon has synced.

The command does not go on without it. When it fails, it ends the command first. When it is killed
itself, Linux sends the command and the daemon SIGTERM; on macOS nobody does: the command runs on,
and the daemon only until it logs its next line, which nobody reads (SIGPIPE).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import sys
import time
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING, Any

from litestream import configuration, recovery
from litestream._cli import ping
from litestream._cli.terminal import Terminal
from litestream._config import runtime_directory
from litestream._executable.arguments import loaded
from litestream._executable.log_lines import escaped
from litestream._replication import daemon_config
from litestream._replication.guard import guard
from litestream._supervision.spawn import parent_death_signal, raise_file_limit, spawn
from litestream._supervision.supervisor import Supervisor
from litestream.errors import LitestreamError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestream._config.config import Config

_DESCRIPTION = """Restore the databases that are missing, replicate all, and run COMMAND beside the
daemon; then do a final sync and exit with COMMAND's status (128+n when signal n ended it). Without
COMMAND, replicate until SIGTERM or SIGINT."""
_NOT_FORWARDED = {
    getattr(signal, name, None)
    for name in (
        *("SIGKILL", "SIGSTOP", "SIGCHLD", "SIGTTIN", "SIGTTOU", "SIGTSTP", "SIGPIPE", "SIGXFSZ"),
        *("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS"),
    )
}

_COMMAND_GRACE = 10.0
"""Seconds that the command has to end when the supervision has failed."""


def run(arguments: Sequence[str]) -> int:
    """Do what ``litestream run`` does and return its exit status.

    ``arguments`` are those that follow ``run``. Status 2 is wrong usage, 1 a database that could
    not be recovered or replicated, 126 or 127 a command that cannot be run.
    """
    own, command = list(arguments), []
    if "--" in own:
        at = own.index("--")
        own, command = own[:at], own[at + 1 :]
    parser = argparse.ArgumentParser(
        prog="litestream run",
        usage="%(prog)s [--config FILE] [--no-expand-env] [--expect any|backup|none] [--adopt]\n"
        "                      [--ping URL] [--ping-every SECONDS] [-- COMMAND ...]",
        description=_DESCRIPTION,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="the config; by default it is looked for")
    parser.add_argument(
        *("--no-expand-env", "-no-expand-env"),
        dest="expand_env",
        action="store_false",
        help="take a $ in the config for a $",
    )
    parser.add_argument(
        "--expect",
        choices=["any", "backup", "none"],
        default="any",
        help="backup: a missing database without one is an error; none: one that has a backup is",
    )
    parser.add_argument(
        "--adopt", action="store_true", help="replicate over a backup of another database"
    )
    ping.add(parser, "tell a dead man's switch after syncs, and of failures")
    parser.add_argument(
        "--ping-every",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="seconds between two pings (default: %(default)g)",
    )
    options = parser.parse_args(own)
    _fill_standard_files()
    try:
        to = ping.chosen(options.ping)
        pings = ping.Pings(to, options.ping_every) if to else None
    except LitestreamError as error:
        _say(str(error))
        return 1
    try:
        with loaded(options.config, expand_env=options.expand_env) as config:
            return _Run(command, pings).run(config, options.expect, adopt=options.adopt)
    except LitestreamError as error:
        _say(str(error))
        if pings is not None:
            pings.failed(str(error))
        return 1
    finally:
        if pings is not None:
            pings.end()


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


class _Run:
    def __init__(self, command: list[str], pings: ping.Pings | None = None) -> None:
        self._command = command
        self._pings = pings
        self._child = 0
        self._status: int | None = None
        self._wish: int | None = None  # a signal that came while nothing could take it
        self._selector = DefaultSelector()
        self._supervisor: Supervisor | None = None
        self._synced = True
        self._terminal = Terminal()

    def run(self, config: Config, expect: recovery.Expectation, *, adopt: bool) -> int:
        self._listen()
        self._file_limit = raise_file_limit()
        for done in recovery.recover_all(daemon_config.sound(config), expect=expect):
            if done.action == "restored":
                _say(recovery.told(done))
        prepared = daemon_config.prepare(config, 1.0)
        try:
            if not adopt:
                guard(prepared.databases)
            self._supervisor = Supervisor(prepared.job(), self._selector, self._report)
            return self._loop(self._supervisor)
        finally:
            self._end_command()
            self._terminal.take_back()
            runtime_directory.remove(prepared.directory)

    def _loop(self, supervisor: Supervisor) -> int:
        while not supervisor.finished or (self._child and self._status is None):
            pause = 1.0 if supervisor.finished else supervisor.tick()
            if self._pings is not None:
                self._pings.look(supervisor.synced)
            if supervisor.state == "failed":  # the command must not go on unreplicated
                break
            for key, _ in self._selector.select(pause):
                key.data()
            if self._wish is not None and not self._child:
                if self._command and self._status is None:  # told to end before it began
                    self._status = 128 + self._wish
                supervisor.stop()
            elif self._is_due(supervisor.state):
                self._start()
            if self._status is not None:
                supervisor.stop()
        if self._status is not None:
            return self._status
        return 0 if self._synced and supervisor.state != "failed" else 1

    def _is_due(self, state: str) -> bool:
        """Tell whether to start the command: once, even if it cannot be started."""
        return bool(self._command) and not self._child and self._status is None and state in _UP

    def _start(self) -> None:
        """Start the command, in front of the terminal if we are: Ctrl-C is for it."""
        in_front = self._terminal.is_ours
        die_with_parent = parent_death_signal()

        def prepare() -> None:
            os.setpgid(0, 0)
            die_with_parent()
            resource.setrlimit(resource.RLIMIT_NOFILE, self._file_limit)
            if in_front:
                self._terminal.give(os.getpid())

        try:
            self._child = spawn(self._command, prepare)
            if in_front:
                self._terminal.give(self._child)
        except OSError as error:
            _say(f"{self._command[0]}: {error.strerror}")
            self._status = 127 if isinstance(error, FileNotFoundError) else 126
            return
        if self._wish is not None:  # it came while the command was being started
            self._forward(self._wish, None)

    def _end_command(self) -> None:
        """End a command that still runs: an error ends this process, and with it the daemon."""
        if not self._child or self._status is not None:
            return
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._child, signal.SIGTERM)
            deadline = time.monotonic() + _COMMAND_GRACE
            while os.waitpid(self._child, os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline:
                    os.kill(self._child, signal.SIGKILL)
                time.sleep(0.02)

    def _listen(self) -> None:
        """Turn every signal into something that the loop reads.

        What we were started to ignore (by nohup, or as a script's background job) stays ignored,
        in the command too.
        """
        reader, writer = os.pipe()
        for file in (reader, writer):
            os.set_blocking(file, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._selector.register(reader, EVENT_READ, lambda: self._signalled(reader))
        for number in signal.valid_signals() - _NOT_FORWARDED:
            if signal.getsignal(number) is signal.SIG_IGN:
                continue
            with contextlib.suppress(OSError, ValueError):  # the C library's own
                signal.signal(number, self._forward)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _follow(self, number: int) -> None:
        """Stop as the command has (Ctrl-Z): with all of this job, for its shell to notice."""
        if not self._terminal.exists:  # somebody's `kill -STOP`, who will continue it, too
            return
        self._terminal.take_back()
        os.killpg(os.getpgrp(), signal.SIGTSTP)
        # In front again? A shell has continued us, or there is none and we were never stopped.
        if number != signal.SIGSTOP and self._terminal.is_ours:
            self._continue()

    def _continue(self) -> None:
        """Continue the command, in front of the terminal if a shell has put us there."""
        if self._terminal.is_ours:
            self._terminal.give(self._child)
        with contextlib.suppress(OSError):
            os.killpg(self._child, signal.SIGCONT)

    def _forward(self, number: int, _frame: object) -> None:
        if self._child and self._status is None:
            if number == signal.SIGCONT:
                self._continue()
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, number)
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
            if os.WIFSTOPPED(status):
                if pid == self._child:
                    self._follow(os.WSTOPSIG(status))
            elif pid == self._child:
                code = os.waitstatus_to_exitcode(status)
                self._status = code if code >= 0 else 128 - code
                self._terminal.take_back()
            elif pid == self._supervisor.pid:
                self._supervisor.reaped[pid] = status

    def _report(self, event: Mapping[str, Any]) -> None:
        if "log" in event:
            line = configuration.masked(event["log"])
            _write(line)
            if self._pings is not None:
                self._pings.hear(line)
        if "fault" in event:
            _say(event["fault"])
        if "synced" in event:
            self._synced = event["synced"]
            if not self._synced:
                _say("the final sync did not reach the replica")
        if event.get("state") in ("standby", "stalled", "failed", "backing off"):
            _say(f"{event['state']} {event['error']}".rstrip())
            if self._pings is not None and event["state"] in ("stalled", "failed"):
                self._pings.failed(f"{event['state']} {event['error']}".rstrip())


_UP = ("replicating", "standby", "stalled")


def _say(text: str) -> None:
    _write(f"litestream run: {escaped(configuration.masked(text))}")


def _write(line: str) -> None:
    """Write a line to standard error, if that can be: no log is worth the command's end.

    Past the stream's buffer, which Python would try to flush at the end, and exit with 120.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.write(sys.stderr.fileno(), f"{line}\n".encode(errors="backslashreplace"))


def _fill_standard_files() -> None:
    """Open what we were started without, lest a lock or a log be given one of those numbers."""
    while (file := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(file)
