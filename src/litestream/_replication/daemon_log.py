"""A daemon's log lines as records of `logging.getLogger("litestream.daemon")`."""

from __future__ import annotations

import json
import logging
import re
import time
from collections import deque

from litestream._executable import log_lines, messages
from litestream._executable.log_lines import escaped
from litestream._settings import masked

logger = logging.getLogger("litestream.daemon")

_KEPT = 200
_REPEAT = 1.0
"""Seconds in which the same complaint about the same database is logged once."""
_LEVELS = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
}
_ABOUT = (
    *("db", "path", "replica", "name", "type", "bucket", "url", "endpoint", "host", "level"),
    *("generation", "txid", "version", "signal", "attempt"),
)
"""The fields that say what a line is about, in this order."""
_TAKEN = {*vars(logging.makeLogRecord({})), "message", "asctime"}


class DaemonLog:
    """The log of one daemon: its last lines, and the records for `logging`.

    A record has the line's level (housekeeping: DEBUG), and the line's message with its subject
    (`compaction complete db=app.db level=1`). All fields (`db`, `replica`, `error`, …) are
    attributes. A complaint that repeats within a second is only counted: the next record has the
    number in `suppressed`. Secrets are masked.
    """

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=_KEPT)
        self._seen: dict[tuple[str, str, str], tuple[float, int]] = {}

    def line(self, text: str, dropped: int = 0) -> str | None:
        """Take one line, and return the error in it, if there is one.

        `dropped` lines before it were lost because this process was too slow.
        """
        text = escaped(masked(text))
        self.lines.append(text)
        if dropped:
            logger.warning("%d log lines of the daemon were dropped", dropped)
        if not text.strip():
            return None
        log = log_lines.parse(text)
        if log is None:
            logger.info("%s", text)
            return None
        self._pass_on(log)
        return escaped(log.fields.get("error") or log.message) if log.level == "ERROR" else None

    def _pass_on(self, log: log_lines.LogLine) -> None:
        level = _LEVELS.get(log.level, logging.INFO)
        if level == logging.INFO and re.fullmatch(messages.HOUSEKEEPING, log.message):
            level = logging.DEBUG
        suppressed = self._suppressed(level, log)
        if suppressed is None or not logger.isEnabledFor(level):
            return
        message = log.message + _about(log.fields)
        if log.fields.get("error"):
            message += ": " + log.fields["error"]
        if suppressed:
            message += f" ({suppressed} more like this)"
        extra: dict[str, object] = {
            escaped(k): escaped(v) for k, v in log.fields.items() if k not in _TAKEN
        }
        logger.log(level, "%s", escaped(message), extra={**extra, "suppressed": suppressed})

    def reason(self, text: str) -> str:
        """Return upstream's own sentence out of a line, secrets masked."""
        log = log_lines.parse(text)
        said = log.fields.get("error") or log.message if log else text
        return escaped(masked(said.removeprefix(messages.ERROR)))

    def error(self, message: str) -> None:
        """Log a fault that the supervisor found."""
        logger.error("%s", escaped(masked(message)))

    def warn(self, message: str) -> None:
        """Log a warning of the supervisor's."""
        logger.warning("%s", escaped(masked(message)))

    def _suppressed(self, level: int, log: log_lines.LogLine) -> int | None:
        """Return how many records like this one were suppressed, or None to suppress it."""
        if level < logging.WARNING:
            return 0
        key = log.message, log.fields.get("db", ""), log.fields.get("replica", "")
        now = time.monotonic()
        last, count = self._seen.get(key, (-_REPEAT, 0))
        if now - last < _REPEAT:
            self._seen[key] = last, count + 1
            return None
        self._seen[key] = now, 0
        return count


def _about(fields: dict[str, str]) -> str:
    """Return the fields that say what a line is about, as a log line has them."""
    found = [(key, fields[key]) for key in _ABOUT if fields.get(key)]
    return "".join(
        f" {key}={value if _is_plain(value) else json.dumps(value)}" for key, value in found
    )


def _is_plain(value: str) -> bool:
    return not any(c.isspace() or c in '"=' for c in value)
