"""`litestream run` in a real terminal: in front, behind, stopped, in a script, in no terminal."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.test_run import LITESTREAM
from tests.support import PATIENCE, Site, daemons, wait_until

CTRL_C, CTRL_Z = b"\x03", b"\x1a"
LOGIN = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
# No line below waits for a line's end: the daemon's log may come between a word and its end.
READY = "print('rea' + 'dy', flush=True)"  # not to be taken for the echo of what was typed
ECHO = f"{READY}\nfor line in sys.stdin: print('heard', line, end='', flush=True)"


class Terminal:
    """The screen and the keyboard of a pseudo-terminal that a program runs in."""

    def __init__(self, *argv: str, login: bool = True) -> None:
        self.keyboard, screen = os.openpty()
        self.shown = ""
        self._read = 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, *argv] if login else argv,
            stdin=screen,
            stdout=screen,
            stderr=screen,
            start_new_session=not login,
            env={**os.environ, "PS1": "$ ", "TERM": "dumb"},
        )
        os.close(screen)

    def type(self, text: str | bytes) -> None:
        os.write(self.keyboard, text if isinstance(text, bytes) else f"{text}\n".encode())

    def expect(self, text: str, patience: float = 30.0) -> None:
        """Wait until something is shown, behind what was waited for before."""
        deadline = time.monotonic() + patience
        while text not in self.shown[self._read :]:
            assert self._more(deadline), f"{text!r} was never shown:\n{self.shown}"
        self._read = self.shown.index(text, self._read) + len(text)

    def end(self) -> int:
        """Wait for the program's end, and return its status."""
        while self._more(time.monotonic() + PATIENCE):
            pass
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        with contextlib.suppress(psutil.Error):  # a job that a failed test has left stopped
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
        os.close(self.keyboard)  # who still reads, gets a hang-up
        self.process.kill()
        self.process.wait()

    def _more(self, deadline: float) -> bool:
        if not select.select([self.keyboard], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        with contextlib.suppress(OSError):  # EIO: nobody has it open any more
            piece = os.read(self.keyboard, 65536)
            self.shown += piece.decode("utf-8", "replace")
            return bool(piece)
        return False


@pytest.fixture
def line(site: Site) -> str:
    """Return the beginning of a command line that runs something beside a daemon."""
    return f"{LITESTREAM} run --config {site.config} -- "


@contextlib.contextmanager
def opened(site: Site, *argv: str, login: bool = True) -> Iterator[Terminal]:
    terminal = Terminal(*argv, login=login)
    try:
        yield terminal
    finally:
        terminal.close()
        wait_until(lambda: not daemons(site.directory), "the daemon's end")


@contextlib.contextmanager
def shell(site: Site) -> Iterator[Terminal]:
    """Open a shell as a user does, with job control."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    with opened(site, bash, "--norc", "--noprofile", "--noediting", "-i") as terminal:
        terminal.expect("$ ")
        yield terminal


def python(script: str) -> str:
    return f"{sys.executable} -c {shlex.quote('import os, sys, time' + chr(10) + script)}"


def test_a_terminal_of_another_session_is_left_alone(site: Site, line: str) -> None:
    """As under honcho, or setsid: standard input is a terminal that does not control us."""
    with opened(site, "sh", "-c", f"exec {line} echo started", login=False) as terminal:
        terminal.expect("started")
        assert terminal.end() == 0


def test_a_script_reads_from_the_terminal_afterwards(site: Site, line: str) -> None:
    with opened(site, "sh", "-c", f"{line} true; echo next; read x; echo read $x") as terminal:
        terminal.expect("next")
        terminal.type("something")
        terminal.expect("read something")
        assert terminal.end() == 0


def test_ctrl_c_of_what_a_script_does_afterwards(site: Site, line: str) -> None:
    with opened(site, "sh", "-c", f"{line} true; echo next; exec sleep 600") as terminal:
        terminal.expect("next")
        terminal.type(CTRL_C)
        assert terminal.end() == -signal.SIGINT


def test_ctrl_c_reaches_the_command_once(site: Site, line: str) -> None:
    script = """
import signal
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append(1))
print('ready', flush=True)
while not heard: time.sleep(.02)
time.sleep(.5)
sys.exit(40 + len(heard))
"""
    with shell(site) as terminal:
        (site.directory / "script.py").write_text(f"import sys, time{script}")
        terminal.type(f"{line} {sys.executable} {site.directory}/script.py")
        terminal.expect("ready")
        terminal.type(CTRL_C)
        terminal.expect("$ ")
        terminal.type("echo status=$?")
        terminal.expect("status=41")


def test_a_job_behind_leaves_the_terminal_to_the_shell(site: Site, line: str) -> None:
    with shell(site) as terminal:
        terminal.type(f"{line} sleep 600 &")
        wait_until(lambda: daemons(site.directory), "the daemon")
        wait_until(lambda: sleepers(terminal), "the command")
        terminal.type("echo answer-$((40 + 2))")
        terminal.expect("answer-42")
        terminal.type("kill %1; wait %1; echo status=$?")
        terminal.expect("status=143")


def test_one_that_reads_behind_is_stopped_and_comes_to_the_front(site: Site, line: str) -> None:
    with shell(site) as terminal:
        terminal.type(f"{line} {python(ECHO)} &")
        terminal.expect("ready")
        wait_until(lambda: "Stopped" in jobs(terminal), "the stop")
        terminal.type("fg")
        terminal.type("hello")
        terminal.expect("heard hello")
        terminal.type(b"\x04")
        terminal.type("echo status=$?")
        terminal.expect("status=0")


def test_ctrl_z_gives_the_shell_back_and_fg_the_command(site: Site, line: str) -> None:
    with shell(site) as terminal:
        terminal.type(line + python(ECHO))
        terminal.expect("ready")
        for number in (1, 2):
            terminal.type(f"typed {number}")
            terminal.expect(f"heard typed {number}")
            terminal.type(CTRL_Z)
            terminal.expect("Stopped")
            terminal.type(f"echo answer-$(({number} + 41))")
            terminal.expect(f"answer-{number + 41}")
            terminal.type("fg")
        terminal.type("last")
        terminal.expect("heard last")
        terminal.type(CTRL_C)
        terminal.expect("$ ")
        terminal.type("echo status=$?")
        terminal.expect("status=130")


def test_what_was_stopped_goes_on_behind(site: Site, line: str) -> None:
    go = site.directory / "go"
    script = f"{READY}\nwhile not os.path.exists({str(go)!r}): time.sleep(.02)"
    with shell(site) as terminal:
        terminal.type(line + python(f"{script}\nprint('gone ' + 'on', flush=True)"))
        terminal.expect("ready")
        terminal.type(CTRL_Z)
        terminal.expect("Stopped")
        terminal.type('bg; echo be""hind')
        terminal.expect("behind")
        go.touch()
        terminal.expect("gone on")
        terminal.type("wait %1; echo status=$?")
        terminal.expect("status=0")


def test_ctrl_z_where_no_shell_could_continue_it_stops_nothing(site: Site, line: str) -> None:
    """As in a container with a terminal: its first process has nobody who would say `fg`."""
    with opened(site, "sh", "-c", f"exec {line} {python(ECHO)}") as terminal:
        terminal.expect("ready")
        terminal.type(CTRL_Z)
        terminal.type("hello")
        terminal.expect("heard hello")
        terminal.type(b"\x04")
        assert terminal.end() == 0


def jobs(terminal: Terminal) -> str:
    before = len(terminal.shown)
    terminal.type("jobs; echo answer-$((500 + 55))")
    terminal.expect("answer-555")
    return terminal.shown[before:]


def sleepers(terminal: Terminal) -> list[str]:
    """Return the commands named `sleep` below a terminal's program."""
    below = psutil.Process(terminal.process.pid).children(recursive=True)
    return [Path(child.name()).name for child in below if child.name() == "sleep"]
