"""What `litestream run` hears of its replication, and says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestream import _settings
from litestream._cli import before_run
from litestream._executable import log_lines, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestream._cli.ping import Pings
    from litestream._cli.voice import Voice
    from litestream._config.database import Database


class Report:
    """The events of a run's supervisor, passed on to the terminal and to the pings.

    ``lack`` says what is missing from a final sync that reached the replica all the same.
    """

    def __init__(self, voice: Voice, pings: Pings | None) -> None:
        self._say, self._pass_on = voice.say, voice.pass_on
        self._pings = pings
        self._error = ""
        self.lack = ""
        self.synced = True

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take an event of the supervisor."""
        if "log" in event:
            self._pass_on(event["log"])
            if self._pings is not None:
                self._pings.hear(_settings.masked(event["log"]))
            log = log_lines.parse(event["log"])
            if log is not None and log.level == "ERROR":
                self._error = parse.without_request_ids(log.fields.get("error") or log.message)
        if "fault" in event:
            self._say(event["fault"])
            self._error = event["fault"]
        if "synced" in event:
            self.synced = event["synced"] and not self.lack
            if self.lack:
                self._error = _settings.masked(self.lack)
            if not self.synced:
                self._say(f"the final sync did not reach the replica{self._because()}", "ERROR")
        if event.get("state") in ("standby", "stalled", "failed", "backing off"):
            text = f"{event['state']} {event['error']}".rstrip()
            if text == "standby":
                text += ": another process replicates, and this one takes over when that one ends"
            self._say(text)
            if self._pings is not None and event["state"] in ("stalled", "failed"):
                self._pings.failed(text)

    def take_stock(self, databases: Sequence[Database]) -> None:
        """Name the databases that were never backed up, at the end."""
        missing = before_run.unborn(databases)
        for database in databases:
            if database.path in missing:
                self._say(
                    f"{database.path!r} does not exist: nothing was backed up. Compare the path in "
                    "the config with the one that the command uses"
                )
            elif not database.has_local_state:
                self._say(f"{database.path!r} was never backed up{self._because()}")

    def _because(self) -> str:
        return f": {self._error}" if self._error else ""
