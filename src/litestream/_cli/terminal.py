"""The terminal under `litestream run`: the command has it while this job is in front.

The command has a process group of its own, so that Ctrl-C reaches it once. A terminal sends its
signals to one group, and lets one group read: the one in front. A shell puts a job in front, or
leaves it behind (`&`, `bg`). `litestream run` hands the terminal on while it has it, and takes it
back before the shell does.
"""

from __future__ import annotations

import contextlib
import os
import signal


class Terminal:
    """The controlling terminal of this process, whatever its standard input is, or none.

    No method fails, although a terminal may go away at any moment.
    """

    def __init__(self) -> None:
        self._file = self._command = -1
        with contextlib.suppress(OSError):  # no terminal: a service, honcho, setsid
            self._file = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)

    @property
    def exists(self) -> bool:
        """Tell whether this process has a terminal."""
        return self._file >= 0

    @property
    def is_ours(self) -> bool:
        """Tell whether this process's group is in front."""
        return self._front() == os.getpgrp()

    def give(self, group: int) -> None:
        """Put the command's process group in front. Ask `is_ours` first."""
        self._command = group
        self._put(group)

    def take_back(self) -> None:
        """Put this process's group in front if the command's is, or an empty one."""
        front = self._front()
        if front == self._command or (self._command > 0 and front > 0 and not _exists(front)):
            self._put(os.getpgrp())

    def _front(self) -> int:
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(self._file) if self.exists else 0
        return 0

    def _put(self, group: int) -> None:
        # SIGTTOU would stop a process that does this from behind.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
        with contextlib.suppress(OSError):
            os.tcsetpgrp(self._file, group)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
