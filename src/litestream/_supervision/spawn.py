"""Start a child by hand, since `subprocess` would need `preexec_fn` for this.

That function is unsafe with threads. `subprocess` has no other way to ask Linux to end a child with
its parent, or, before Python 3.11, to give a child a process group. The callers of `spawn`, the
keeper of a daemon and `litestream run`, have no threads.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def spawn(
    argv: list[str], prepare: Callable[[], object], environment: Mapping[str, str] | None = None
) -> int:
    """Start a program and return its process id; `prepare` is called in the child.

    The environment is ours, unless another one is given.

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
            os.execvpe(argv[0], argv, os.environ if environment is None else environment)  # noqa: S606
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


def parent_death_signal(number: int = signal.SIGTERM) -> Callable[[], object]:
    """Return a function by which a child gets a signal when its parent dies; a no-op on macOS.

    It is the second net, for a keeper that is killed together with its application; the pipe
    between the two is the first. `litestream run` has this net alone.
    """
    if not os.path.exists("/proc/self/status"):
        return lambda: None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(1, int(number), 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return ask
