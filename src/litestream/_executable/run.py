"""Run the executable once: environment, time limit, failure."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

from litestream._executable import log_lines, messages, side_by_side
from litestream._executable.parse import without_request_ids
from litestream._settings import environment, masked
from litestream.errors import CommandFailedError, CommandTimeoutError, ExecutableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Progress = Callable[[int, int | None], object]

TIMEOUT = 60.0
"""Seconds that a listing may take. 0.5 waits for minutes for an endpoint that is down."""
STALL = 120.0
"""Seconds without a byte after which a restore is given up.

An endpoint that takes connections and never answers makes both series wait for ever.
"""
_KEPT = 4096  # bytes of a daemon's output, for its error
_LOOK = 0.1  # seconds between two looks at what a run does
_AT = "/dev/fd/{}"
_STOP_TIMEOUT = 35.0  # the final sync of 0.5 takes 30 s at most


class Output(NamedTuple):
    """The output of a run; bytes that are no UTF-8 stand as surrogates, as in file names."""

    stdout: str
    stderr: str


class StalledError(CommandTimeoutError):
    """Say that a run made no progress for ``timeout`` seconds and was killed."""

    def __str__(self) -> str:
        said = f" Its last words: {self.reason}." if self.reason else ""
        return (
            f"litestream {self.argv[1]} made no progress for {self.timeout:g} s and was killed."
            f"{said} Check that the replica's endpoint answers"
        )


class Directory(Protocol):
    """A private directory that a run fills; ``lock`` is a file descriptor that it inherits."""

    lock: int

    def note_child(self, pid: int) -> None: ...
    def written(self) -> tuple[int, int]: ...


def run(
    argv: Sequence[str],
    *,
    timeout: float | None,
    accepted: Sequence[int] = (0,),
    config: str = "",
    fills: Directory | None = None,
    stall: float | None = None,
    progress: Progress | None = None,
    expected: int | None = None,
) -> Output:
    """Run ``argv`` to its end, at most ``timeout`` seconds, and return what it printed.

    The child reads the text of ``config``, if there is any, in place of the file that ``argv``
    names. A run that ``fills`` a directory is killed when it makes no progress there for ``stall``
    seconds (``STALL`` by default), too. The child holds the directory's lock: while it lives,
    nobody removes the directory. ``progress`` is called with the bytes written and those
    ``expected``; an exception of it ends the run.

    Raises:
        CommandFailedError: an exit status that is not ``accepted``, or an error in the log
            of a run that exits 0 (as 0.3 does) and fills no directory.
        CommandTimeoutError: the run did not end in time; it is killed, and no process stays.
        ExecutableError: it cannot be run on this machine.

    """
    passed = [] if fills is None else [fills.lock]
    try:
        with _reading(config, argv, passed) as given:
            process = subprocess.Popen(
                given,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
                umask=0o077,  # 0.5.17 restores a private database as 0644
                pass_fds=passed,
            )
    except OSError as error:
        raise not_runnable(argv[0], error) from error
    with process:
        try:
            if fills is not None:
                fills.note_child(process.pid)
            output = _watch(process, argv, timeout, fills, stall or STALL, progress, expected)
        except BaseException:
            process.kill()
            raise
    is_error = fills is None and (_logged_error(output.stdout) or _logged_error(output.stderr))
    if process.returncode not in accepted or is_error:
        raise failure(argv, process.returncode, output)
    return output


@contextlib.contextmanager
def _reading(config: str, argv: Sequence[str], passed: list[int]) -> Iterator[Sequence[str]]:
    """Let a child inherit a config in memory, and return the child's arguments.

    A pipe would end only when all its writers do, and a process that is forked meanwhile is one.
    """
    memory = _in_memory(config) if config else None
    if memory is None:
        yield argv
        return
    with memory:
        passed.append(memory.fileno())
        at = argv.index("-config") + 1
        yield [*argv[:at], _AT.format(memory.fileno()), *argv[at + 1 :]]


def _in_memory(text: str) -> IO[str] | None:
    """Return a file in memory with a text; nothing where none can be opened by a path (macOS)."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError), contextlib.ExitStack() as stack:
            file = os.memfd_create("litestream.yml")
            memory = stack.enter_context(os.fdopen(file, "w", -1, "utf-8", "surrogateescape"))
            memory.write(text)
            memory.flush()
            os.close(os.open(_AT.format(file), os.O_RDONLY | os.O_CLOEXEC))
            stack.pop_all()
            return memory
    return None


def seconds_left(deadline: float | None) -> float | None:
    """Return the time limit of one of several runs that share a deadline, if there is one."""
    return None if deadline is None else max(0.001, deadline - time.monotonic())


def _watch(
    process: subprocess.Popen[bytes],
    argv: Sequence[str],
    timeout: float | None,
    fills: Directory | None,
    stall: float,
    progress: Progress | None,
    expected: int | None,
) -> Output:
    start = moved = time.monotonic()
    before = fills.written() if fills else (0, 0)
    while True:
        left = _LOOK if timeout is None else start + timeout - time.monotonic()
        try:
            stdout, stderr = process.communicate(timeout=max(0.0, min(_LOOK, left)))
            return Output(_text(stdout), _text(stderr))
        except subprocess.TimeoutExpired as expired:
            printed = _text(expired.stdout or b""), _text(expired.stderr or b"")
        side_by_side.require_wanted()
        now = time.monotonic()
        if fills is not None:
            written = fills.written()
            if written != before:
                before, moved = written, now
            if progress is not None:
                progress(written[0], expected)
            if now - moved >= stall:
                raise StalledError(masked_all(argv), stall, masked(_reason(*printed)))
        if timeout is not None and now - start >= timeout:
            raise CommandTimeoutError(masked_all(argv), timeout, masked(_reason(*printed)))


def foreground(argv: Sequence[str], timeout: float | None, *, inherits: bool = False) -> None:
    """Run a daemon until it ends; SIGINT and SIGTERM reach it once, so that it can sync and end.

    It has a session of its own: a terminal would send it Ctrl-C beside ours, and 0.5 takes a
    second signal for the wish to skip the final sync. What it prints is passed on, and the end of
    it kept for the error; unless it ``inherits`` our output, as the command of ``-exec`` needs.
    """
    pipe = None if inherits else subprocess.PIPE
    try:
        process = subprocess.Popen(
            argv,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
            umask=0o077,
        )
    except OSError as error:
        raise not_runnable(argv[0], error) from error
    pipes = (process.stdout, 1), (process.stderr, 2)
    ends = [_Tee(source, to) for source, to in pipes if source is not None]
    try:
        with _forwarding(signal.SIGTERM, process), _forwarding(signal.SIGHUP, process):
            returncode = process.wait(timeout)
    except subprocess.TimeoutExpired:
        _end(process)
        raise CommandTimeoutError(masked_all(argv), timeout or 0.0) from None
    except BaseException:
        _end(process)
        raise
    finally:
        said = [end.last() for end in ends]
    if returncode:
        raise failure(argv, returncode, Output(*said or ("", "its output tells why")))


class _Tee(threading.Thread):
    """Passes on what a child prints, and keeps the last of it."""

    def __init__(self, source: IO[bytes], to: int) -> None:
        super().__init__(name="litestream-output", daemon=True)
        self._source = source
        self._to = to
        self._kept = b""
        self.start()

    def run(self) -> None:
        """Pass on until nobody holds the pipe any more; then close it."""
        with self._source:
            while piece := os.read(self._source.fileno(), 65536):
                self._kept = (self._kept + piece)[-_KEPT:]
                with contextlib.suppress(OSError):
                    while piece:
                        piece = piece[os.write(self._to, piece) :]

    def last(self) -> str:
        """Return the last that was printed; a child of the child may hold the pipe on."""
        self.join(1.0)
        return _text(self._kept)


@contextlib.contextmanager
def _forwarding(number: signal.Signals, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Hand a signal that may end this process to the child instead, which would outlive it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets no other thread set a handler
        return
    # SIGHUP would end the daemon without a final sync
    previous = signal.signal(number, lambda _number, _frame: process.send_signal(signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(number, previous)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the daemon to sync and end, wait for longer than upstream's own limit, then kill it."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_TIMEOUT)
    finally:
        process.kill()
        process.wait()


def failure(argv: Sequence[str], returncode: int, output: Output) -> CommandFailedError:
    """Return the error that describes a failed run, its secrets masked."""
    reason = without_request_ids(masked(_reason(output.stdout, output.stderr)))
    hint = next((hint for needle, hint in messages.HINTS if needle in reason), "")
    stderr = masked(output.stderr)
    return CommandFailedError(masked_all(argv), returncode, stderr, reason, hint)


def masked_all(argv: Sequence[str]) -> list[str]:
    """Return ``argv`` with its secrets masked."""
    return [masked(argument) for argument in argv]


def not_runnable(path: str, error: OSError) -> ExecutableError:
    """Return the error that says why a file could not be run."""
    import platform

    because = os.strerror(error.errno) if error.errno else str(error)
    if error.errno == errno.ENOEXEC:
        because = "it is not a program for this system, or built for another processor"
    elif error.errno == errno.ENOENT and os.path.exists(path):
        because = "the interpreter that it asks for does not exist"
    elif error.errno == errno.EACCES:
        because = "permission denied (chmod +x, or a mount with noexec)"
    return ExecutableError(
        f"{path!r} cannot be run on this machine ({platform.system()} {platform.machine()}): "
        f"{because}. Put a Litestream executable for this machine there"
    )


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")


def _logged_error(text: str) -> str:
    for line in text.split("\n"):
        log = log_lines.parse(line)
        if log is not None and log.level == "ERROR":
            return log.fields.get("error") or log.message
    return ""


def _reason(stdout: str, stderr: str) -> str:
    """Find upstream's own sentence: ``Error: …`` (0.5) or an error in its log (0.3)."""
    at = f"\n{stderr}".find(f"\n{messages.ERROR}")
    if at >= 0:
        said = stderr[at:].removeprefix(messages.ERROR)
        return said.split(messages.TRY)[0].strip()
    return _logged_error(stdout) or _logged_error(stderr) or stderr.strip()[-500:]
