"""Start a child by hand, where `subprocess` cannot do what is needed without `preexec_fn`.

That function is unsafe with threads, and `subprocess` knows no other way to ask Linux to end a
child with its parent, or, before Python 3.11, to give it a process group. Whoever calls `spawn` has
no thread: the keeper of a daemon, and `litestream run`.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def spawn(argv: list[str], prepare: Callable[[], object]) -> int:
    """Start a program and return its process id; `prepare` is called in the child.

    Raises:
        OSError: It cannot be run.

    """
    failed, fail = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(failed)
            prepare()
            # Python ignores these, and a program inherits what is ignored.
            for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(ignored, signal.SIG_DFL)
            os.execvp(argv[0], argv)  # noqa: S606
        except OSError as error:
            os.write(fail, str(error.errno).encode())
        finally:
            os._exit(127)
    os.close(fail)
    try:
        number = os.read(failed, 16)
    finally:
        os.close(failed)
    if number:
        os.waitpid(pid, 0)
        raise OSError(int(number), os.strerror(int(number)), argv[0])
    return pid


def parent_death_signal() -> Callable[[], object]:
    """Return what a child calls to get SIGTERM when its parent dies; it does nothing on macOS.

    On Linux it is the second net, for a keeper that is killed together with the process that it
    serves; the pipe between the two is the first. `litestream run` has no other.
    """
    if not os.path.exists("/proc/self/status"):
        return lambda: None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(1, int(signal.SIGTERM), 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return ask
