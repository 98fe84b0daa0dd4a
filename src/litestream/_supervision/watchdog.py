"""Read a daemon's log, and see whether the daemon replicates, stalls, or has spoilt a replica."""

from __future__ import annotations

import os
import time

from litestream._control_socket.nonblocking import Request
from litestream._database.connect import bump
from litestream._database.files import is_database
from litestream._database.local_state import shadow_position
from litestream._database.wal import committed_end, wal_path, wal_salts
from litestream._executable import messages
from litestream._supervision.replaced_files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from litestream._database.local_state import Position03
    from litestream._database.wal import WALEnd
    from litestream._supervision.job import Database, Job

_EVERY = 2.5
"""Seconds between two looks."""
_PATIENCE = 7.0
"""Seconds, beside two sync intervals, without a sync until a daemon counts as stalled."""
_OF_SEGMENTS = messages.SEGMENT_BEGUN, messages.SEGMENT_WRITTEN, messages.MONITOR_ERROR
_SENDING = 1.0
"""Seconds within which 0.3's monitor begins to send what it has copied first."""


def says(text: str, *words: str) -> bool:
    """Tell whether the message of a log line, and not only a field, holds one of the words."""
    if not any(word in text for word in words):
        return False
    from litestream._executable.log_lines import parse  # slow to import, and seldom needed

    log = parse(text)
    return any(word in (log.message if log else text) for word in words)


def is_error(text: str) -> bool:
    """Tell whether a log line of any format says that something fails.

    Source: before it knows how to log, 0.3.13 writes "2026/11/22 18:09:25 ERROR failed to run".
    """
    return has_level(text, "ERROR") or (text[19:26] == " ERROR " and text[:1] != "{")


def has_level(text: str, level: str) -> bool:
    """Tell whether a log line, text or JSON, has a level."""
    if text.startswith("{"):
        return f'"level":"{level}"' in text
    return f"level={level}" in text.partition(" msg=")[0]


class Health:
    """What is known of one daemon's health. Times are on the monotonic clock."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.files = Files(job)
        self.age = 0.0
        self.looked: set[str] = set()
        self._copied: dict[str, float] = {}
        self._bumped: set[str] = set()
        self.positions: dict[str, dict[str, Position03]] = {}
        self._ends: dict[str, WALEnd | None] = {}
        self._wanted: dict[str, WALEnd] = {}
        self._failing: set[str] = set()
        self._begun: dict[tuple[str, str], set[Position03]] = {}
        self._written: dict[tuple[str, str], Position03] = {}
        self.overlapping: set[str] = set()
        self.lost_tables = False
        self.registered: set[str] = set()
        self._synced: dict[str, tuple[str, float]] = {}
        self._request: Request | None = None
        self._last_error = self._last_look = self._started = 0.0
        self._state = "replicating"

    def take_over(self, job: Job) -> None:
        """Go on with another job."""
        self.job = self.files.job = job

    def started(self) -> None:
        """Begin anew, with a daemon that has just been started."""
        self.age = 0.0
        self.looked.clear()
        self._copied.clear()
        self._bumped.clear()
        self._state = "replicating"
        self._started = self._last_look = time.monotonic()
        self._last_error = 0.0
        self._wanted.clear()
        self._failing.clear()
        self._begun.clear()
        self._written.clear()
        self.lost_tables = False
        self.registered.clear()
        self.files.started()
        self._ends = {d.path: committed_end(wal_path(d.path)) for d in self.job.databases}
        self._synced = {d.path: ("", self._started) for d in self.job.databases}
        self.give_up_asking()

    def hear(self, text: str) -> tuple[str, str, Position03] | None:
        """Take note of a log line: that something fails, or how far a replica of 0.3's has come."""
        if is_error(text):
            self._last_error = time.monotonic()
            self.lost_tables = self.lost_tables or messages.LOST_TABLE in text
        if self.job.series == "0.5" and (
            messages.SYNC_ERROR in text or messages.SYNC_RECOVERED in text
        ):
            self._hear_of_sync(text)
        elif self.job.series == "0.3" and any(word in text for word in _OF_SEGMENTS):
            return self._hear_of_segment(text)
        return None

    def _hear_of_segment(self, text: str) -> tuple[str, str, Position03] | None:
        """Take note of how far a replica of 0.3's has come, and of two that write at once.

        Source: at the end of 0.3.13, its monitor and its final sync may both write the same part
        of the WAL (replica.go has no lock there). In a directory it is the same file, too. What it
        then holds may be torn, or overlap the next part, and a restore loses what follows; the log
        need not say that one of the two has failed (db.go keeps the first error only). Measured
        beside busy writers: 5 of 400 ends, and 3 of the 5 replicas were spoilt.
        """
        from litestream._database.local_state import logged_segment
        from litestream._executable.log_lines import parse

        log = parse(text)
        if log is None:
            return None
        key = log.fields.get("db", ""), log.fields.get("replica", "")
        begun = self._begun.setdefault(key, set())
        if log.message == messages.MONITOR_ERROR:
            begun.clear()
        segment = logged_segment(log.fields)
        if segment is None:
            return None
        start, end = segment
        if log.message == messages.SEGMENT_BEGUN:
            written = self._written.get(key, start)
            if start in begun or (written[:2] == start[:2] and start.offset < written.offset):
                self.overlapping.add(key[0])
            begun.add(start)
        elif log.message == messages.SEGMENT_WRITTEN:
            begun.discard(start)
            self._written[key] = end
            self.positions.setdefault(key[0], {})[key[1]] = end
            self.looked.add(key[0])
            self._copied.pop(key[0], None)
            return *key, end
        return None

    def _hear_of_sync(self, text: str) -> None:
        """Take note of databases whose local sync fails; 0.5 names them by their file alone."""
        from litestream._executable.log_lines import parse

        log = parse(text)
        if log is not None and log.message == messages.SYNC_ERROR:
            self._failing.add(log.fields.get("db", ""))
        elif log is not None and log.message == messages.SYNC_RECOVERED:
            self._failing.discard(log.fields.get("db", ""))

    def is_unsynced(self, text: str) -> bool:
        """Tell whether a log line says that the final sync of the daemon has failed."""
        if self.job.series == "0.5":
            return says(text, *messages.UNSYNCED_AT_END)
        return is_error(text) and not any(word in text for word in messages.HARMLESS_AT_END)

    def has_looked(self, has_synced: Callable[[str], bool]) -> bool:
        """Tell whether this daemon is known to have opened every database; then it syncs them."""
        for database in self.job.databases:
            if database.path not in self.looked and self._is_looked_at(database, has_synced):
                self.note_look(database.path)
        return all(database.path in self.looked for database in self.job.databases)

    def note_look(self, path: str) -> None:
        """Take note that this daemon has opened a database, and copied its WAL."""
        if path not in self.looked and is_database(path):
            self._copied[path] = time.monotonic()
        self.looked.add(path)

    def is_sending(self) -> bool:
        """Tell whether 0.3's monitor may be about to send its first copy of a database.

        If the daemon is told to end just then, its final sync and its monitor write the same file,
        and one of them fails.
        """
        since = time.monotonic() - _SENDING
        return self.job.series == "0.3" and any(at > since for at in self._copied.values())

    def _is_looked_at(self, database: Database, has_synced: Callable[[str], bool]) -> bool:
        if not is_database(database.path):
            return True
        if self.job.series == "0.5":
            return has_synced(database.path)
        if database.path not in self._bumped:
            self._bumped.add(database.path)
            bump(database.path)
        end = committed_end(wal_path(database.path))
        return end is not None and shadow_position(database.meta, end) is not None

    @property
    def synced(self) -> float:
        """Return the time (monotonic) since which every database is known to have been synced."""
        times = [
            since
            for database in self.job.databases
            if self.files.is_there(database.path)
            for _, since in (self._synced[database.path],)
        ]
        oldest = min(times, default=0.0)
        return oldest if oldest > self._started else 0.0

    def look(self) -> str:
        """Return `"replicating"` or `"stalled"`; `age` is then the seconds since the last sync."""
        now = time.monotonic()
        if self._request is not None:
            self._receive()
        if now - self._last_look < _EVERY:
            return self._state
        self._last_look = now
        if self.job.series == "0.5":
            self._send()
        else:
            self._compare(now)
        ages = [
            (now - since, 2 * database.interval + _PATIENCE)
            for database in self.job.databases
            if self.files.is_there(database.path)
            for _, since in (self._synced[database.path],)
        ]
        self.age = max((age for age, _ in ages), default=0.0)
        self._state = "stalled" if any(age > limit for age, limit in ages) else "replicating"
        return self._state

    def _send(self) -> None:
        """Ask 0.5 when it last synced. While it cannot reach its replica, it may not answer."""
        if self._request is None and self.job.socket:
            try:
                self._request = Request(self.job.socket, "GET", "/list")
            except OSError:
                self._request = None
        elif not self.job.socket:  # nothing to go by but the log
            self._compare_errors(time.monotonic())

    def _receive(self) -> None:
        import json

        assert self._request is not None
        try:
            answer = self._request.poll()
            if answer is None:
                return
            rows = json.loads(answer[1])["databases"] or []
        except (OSError, ValueError, KeyError, TypeError):
            rows = None
        self._request = None
        if rows is None:
            return
        self.registered = {row["path"] for row in rows if row.get("path")} - set(self._synced)
        for row in rows:
            path, when = row.get("path", ""), row.get("last_sync_at") or ""
            # `last_sync_at` moves on although every local sync fails.
            failing = os.path.basename(path) in self._failing
            if path in self._synced and when and when != self._synced[path][0] and not failing:
                self._synced[path] = (when, time.monotonic())

    def _compare(self, now: float) -> None:
        """Compare what is committed with the positions of the replicas in the log of 0.3."""
        for database in self.job.databases:
            path = database.path
            # Writers go on: all has arrived when the end from an earlier look has.
            end = self._wanted.get(path) or committed_end(wal_path(path))
            behind = end is not None and end != self._ends[path]
            if end is not None and behind:
                self._wanted[path] = end
                wanted = shadow_position(database.meta, end)
                reached = self.positions.get(path, {}).values()
                behind = wanted is None or not reached
                behind = behind or not all(at.reaches(wanted) for at in reached if wanted)
                if wanted is None and wal_salts(wal_path(path)) != end.salts:
                    del self._wanted[path]  # that WAL is gone: go for the next one's end
            if not behind and now - self._last_error > 2 * _EVERY:
                self._synced[path] = ("", now)
                self._ends[path] = self._wanted.pop(path, end)

    def _compare_errors(self, now: float) -> None:
        if now - self._last_error > 2 * _EVERY:
            for path in self._synced:
                self._synced[path] = ("", now)

    def give_up_asking(self) -> None:
        """Forget the request that is under way."""
        if self._request is not None:
            self._request.close()
            self._request = None
