"""What `litestream run` says on standard error, and the daemon's log lines: as text or as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

from litestream import configuration
from litestream._executable import log_lines
from litestream._executable.log_lines import escaped

_LOUD = ("WARN", "ERROR")


class Voice:
    """Whoever speaks on standard error, secrets masked; ``quiet`` lets only what is wrong through.

    With ``as_json`` each line is an object with ``time``, ``level``, ``msg``, ``source`` and the
    fields of the daemon's line.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self._quiet = quiet
        self._as_json = as_json

    def say(self, text: str, level: str = "WARN") -> None:
        """Say something of our own, each of its lines on a line."""
        if self._quiet and level not in _LOUD:
            return
        text = configuration.masked(text)
        if self._as_json:
            write(_object(level, text, "litestream run", {}))
            return
        first, *rest = text.split("\n")
        write(f"litestream run: {escaped(first)}")
        for line in rest:
            write(escaped(line))

    def pass_on(self, line: str) -> None:
        """Pass a line of the daemon's on."""
        line = configuration.masked(line)
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
    """Write a line to standard error, if that can be: no log is worth the command's end.

    Past the stream's buffer, which Python would try to flush at the end, and exit with 120.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.write(sys.stderr.fileno(), f"{line}\n".encode(errors="backslashreplace"))
