"""Run the executable while it fills a directory: its progress, and an end when it stands still."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from litestream._executable.run import Output, failure, masked_all, not_runnable
from litestream.configuration import environment
from litestream.errors import CommandTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestream._restore.staging import Staging

    Progress = Callable[[int, int | None], object]

STALL = 120.0
"""Seconds without a byte after which a run without a time limit of its own is given up.

An endpoint that takes connections and never answers makes both series wait for ever.
"""

_LOOK = 0.1  # seconds between two looks at the directory


def run(
    argv: Sequence[str],
    staging: Staging,
    *,
    timeout: float | None,
    stall: float | None = None,
    progress: Progress | None = None,
    expected: int | None = None,
) -> Output:
    """Run ``argv``, which writes into ``staging``, to its end, and return what it printed.

    ``timeout`` limits the whole run; without it a run that makes no progress for ``stall`` seconds
    (``STALL`` by default) is killed. The child holds the directory's lock too: while it lives,
    nobody sweeps under it.

    Raises:
        CommandFailedError: a non-zero exit.
        CommandTimeoutError: it took too long; it is killed, and no process stays.
        ExecutableError: it cannot be run on this machine.

    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            umask=0o077,  # 0.5.17 restores a private database as 0644
            pass_fds=(staging.lock,),
        )
    except OSError as error:
        raise not_runnable(argv[0], error) from error
    with process:
        try:
            staging.note_child(process.pid)
            output = _watch(process, argv, staging, timeout, stall, progress, expected)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise failure(argv, process.returncode, output)
    return output


def _watch(
    process: subprocess.Popen[bytes],
    argv: Sequence[str],
    staging: Staging,
    timeout: float | None,
    stall: float | None,
    progress: Progress | None,
    expected: int | None,
) -> Output:
    start = moved = time.monotonic()
    before = staging.written()
    while True:
        try:
            left = _LOOK if timeout is None else start + timeout - time.monotonic()
            stdout, stderr = process.communicate(timeout=max(0.0, min(_LOOK, left)))
            break
        except subprocess.TimeoutExpired:
            pass
        now, written = time.monotonic(), staging.written()
        if written != before:
            before, moved = written, now
        if progress is not None:
            progress(written[0], expected)
        if timeout is not None and now - start >= timeout:
            raise CommandTimeoutError(masked_all(argv), timeout)
        if timeout is None and now - moved >= (stall or STALL):
            raise CommandTimeoutError(masked_all(argv), round(now - start))
    return Output(_text(stdout), _text(stderr))


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")
