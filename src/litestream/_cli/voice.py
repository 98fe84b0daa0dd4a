"""The lines of `litestream run` on standard error, its own and the daemon's, as text or JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

from litestream import _settings
from litestream._executable import log_lines
from litestream._executable.log_lines import escaped

_LOUD = ("WARN", "ERROR")


class Voice:
    """Writes lines to standard error, secrets masked; ``quiet``: warnings and errors only.

    With ``as_json`` each line is an object with ``time``, ``level``, ``msg``, ``source`` and the
    fields of the daemon's line.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self._quiet = quiet
        self._as_json = as_json

    def say(self, text: str, level: str = "WARN") -> None:
        """Write a message of this process; each of its lines becomes a line."""
        if self._quiet and level not in _LOUD:
            return
        text = _settings.masked(text)
        if self._as_json:
            write(_object(level, text, "litestream run", {}))
            return
        first, *rest = text.split("\n")
        write(f"litestream run: {escaped(first)}")
        for line in rest:
            write(escaped(line))

    def pass_on(self, line: str) -> None:
        """Write a line of the daemon's log."""
        line = _settings.masked(line)
        log = log_lines.parse(line) if self._quiet or self._as_json else None
        if self._quiet and log is not None and log.level not in _LOUD:
            return
        if not self._as_json:
            write(line)
        elif log is not None:
            write(_object(log.level, log.message, "litestream", log.fields))
        elif line.strip():
            write(_object("INFO", line, "litestream", {}))


def _object(level: str, text: str, source: str, fields: dict[str, str]) -> str:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps({**fields, "time": moment, "level": level, "msg": text, "source": source})


def write(line: str) -> None:
    """Write a line to standard error if that is possible: a lost log must not end the command.

    The stream's buffer is left out: Python would flush it at exit, and exit with 120 on failure.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.write(sys.stderr.fileno(), f"{line}\n".encode(errors="backslashreplace"))
