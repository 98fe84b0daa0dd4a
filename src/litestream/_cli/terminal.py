"""The terminal under `litestream run`: it is the command's for as long as that is in front.

The command has a process group of its own, so that Ctrl-C reaches it once. A terminal sends its
signals to one group, and lets one group read: the one in front. A shell puts a job in front, or
leaves it behind (`&`, `bg`); we pass on what is ours, and take it back for the shell to have.
"""

from __future__ import annotations

import contextlib
import os
import signal


class Terminal:
    """The controlling terminal of this process, whatever its standard input is; there may be none.

    Nothing here fails: a terminal may go at any moment.
    """

    def __init__(self) -> None:
        self._file = self._command = -1
        with contextlib.suppress(OSError):  # nobody controls us: a service, honcho, setsid
            self._file = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)

    @property
    def exists(self) -> bool:
        """Tell whether there is one."""
        return self._file >= 0

    @property
    def is_ours(self) -> bool:
        """Tell whether our process group is in front."""
        return self._front() == os.getpgrp()

    def give(self, group: int) -> None:
        """Put the command's process group in front. Ask `is_ours` first."""
        self._command = group
        self._put(group)

    def take_back(self) -> None:
        """Put our process group in front if the command's is, or one that nobody is in any more."""
        front = self._front()
        if front == self._command or (self._command > 0 and front > 0 and not _exists(front)):
            self._put(os.getpgrp())

    def _front(self) -> int:
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(self._file) if self.exists else 0
        return 0

    def _put(self, group: int) -> None:
        # Without it, SIGTTOU would stop whoever does this from behind.
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
