"""The command of `litestream run`: started, signalled, stopped with its job, and ended."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from typing import TYPE_CHECKING

from litestream._cli.terminal import Terminal
from litestream._supervision.spawn import parent_death_signal, spawn

if TYPE_CHECKING:
    from litestream._cli.voice import Voice

_GRACE = 10.0
"""Seconds from SIGTERM to SIGKILL for the command if supervision has failed."""


def become(argv: list[str], voice: Voice) -> int:
    """Let the command take the place of this process; return a status only if it cannot run."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores SIGPIPE, which is inherited
    try:
        os.execvp(argv[0], argv)  # noqa: S606
    except OSError as error:
        return _cannot_run(argv, error, voice)


def _cannot_run(argv: list[str], error: OSError, voice: Voice) -> int:
    voice.say(f"{argv[0]}: {error.strerror}", "ERROR")
    return 127 if isinstance(error, FileNotFoundError) else 126


class Command:
    """A command that is started once, or never; ``status`` is its exit status at the end."""

    def __init__(self, argv: list[str], voice: Voice) -> None:
        self.pid = 0
        self.status: int | None = None
        self._argv = argv
        self._voice = voice
        self._terminal = Terminal()

    @property
    def is_due(self) -> bool:
        """Tell whether to start the command: once, even if the start fails."""
        return bool(self._argv) and not self.pid and self.status is None

    @property
    def runs(self) -> bool:
        """Tell whether the command was started and has not ended."""
        return bool(self.pid) and self.status is None

    def start(self, file_limit: tuple[int, int]) -> None:
        """Start the command; if this job is in front of the terminal, the command gets Ctrl-C."""
        in_front = self._terminal.is_ours
        die_with_parent = parent_death_signal()

        def prepare() -> None:
            os.setpgid(0, 0)
            die_with_parent()
            resource.setrlimit(resource.RLIMIT_NOFILE, file_limit)
            if in_front:
                self._terminal.give(os.getpid())

        try:
            self.pid = spawn(self._argv, prepare)
            if in_front:
                self._terminal.give(self.pid)
        except OSError as error:
            self.status = _cannot_run(self._argv, error, self._voice)

    def signal(self, number: int) -> None:
        """Send a signal to the command if it runs; SIGCONT to all of its processes."""
        if not self.runs:
            return
        if number == signal.SIGCONT:
            self._continue()
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def changed(self, status: int) -> None:
        """Take a wait status of the command: it has stopped or ended."""
        if os.WIFSTOPPED(status):
            self._follow(os.WSTOPSIG(status))
            return
        code = os.waitstatus_to_exitcode(status)
        self.status = code if code >= 0 else 128 - code
        self._terminal.take_back()

    def end(self) -> None:
        """End a command that still runs when an error ends this process; take the terminal back."""
        if self.runs:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGTERM)
                deadline = time.monotonic() + _GRACE
                while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
                    if time.monotonic() > deadline:
                        os.kill(self.pid, signal.SIGKILL)
                    time.sleep(0.02)
        self._terminal.take_back()

    def _follow(self, number: int) -> None:
        """Stop as the command did (Ctrl-Z): the whole job, so that its shell notices."""
        if not self._terminal.exists:  # `kill -STOP`, whose sender continues it, too
            return
        self._terminal.take_back()
        os.killpg(os.getpgrp(), signal.SIGTSTP)
        # In front again: a shell has continued this job, or no shell ever stopped it.
        if number != signal.SIGSTOP and self._terminal.is_ours:
            self._continue()

    def _continue(self) -> None:
        """Continue the command, in front of the terminal if this job is there."""
        if self._terminal.is_ours:
            self._terminal.give(self.pid)
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGCONT)
