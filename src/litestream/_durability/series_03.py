"""Whether a 0.3 replica holds a commit: by the log, the metrics page, its directory or listing."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from litestream._database.local_state import Position03, shadow_position
from litestream._durability.goal import Arrival
from litestream._durability.lz4 import lz4_length
from litestream._executable import listings
from litestream.errors import LitestreamError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestream._durability.goal import Goal
    from litestream.rows import WALRow

_REQUEST = 5.0
"""Seconds that a metrics page may take."""


class Look03:
    """Looks for a commit in the replicas, by its position.

    ``local``: the daemon has copied the commit. ``positions`` are logged by a daemon of ours, for
    each database and replica. With ``sure``, no restore need confirm an arrival. With ``only_new``,
    a segment counts only if it is newer than all present segments.
    """

    asked = False

    def __init__(
        self,
        goal: Goal,
        *,
        positions: Mapping[str, Mapping[str, Position03]] | None,
        only_new: bool,
        sure: bool,
    ) -> None:
        database = goal.database
        self._goal = goal
        self._positions = positions
        self._sure = sure
        self._touch_at = (time.monotonic() + goal.deadline) / 2
        self._woken = False
        self.local = False
        self._listed = positions is None and not database.config.metrics and not database.folders
        self._seen = self._newest_segment() if only_new and self._listed else None

    def forget(self) -> None:
        """Do nothing: each look is independent of the last one."""

    def look(self) -> Arrival | None:
        """Find the place in the shadow WAL, then in the replicas.

        Half-way through the wait, another commit wakes a daemon that has overlooked the last one.
        Source: 0.3.13 reads the WAL's size, then copies the WAL. A commit in between is copied, but
        uploaded with the next commit only. With the default interval, this happens to about one
        commit in a thousand.
        """
        if time.monotonic() > self._touch_at:
            self._touch_at = self._goal.deadline
            self._goal.touch()
        place = self._goal.end and shadow_position(self._goal.database.meta, self._goal.end)
        if place is None:
            self._goal.follow()
            return None
        self.local = True
        if not self._listed:
            return Arrival(sure=True) if self._are_at(place) else None
        if self._sure:
            return self._listed_behind(place)
        newest = self._newest_segment()
        if newest in (None, self._seen):
            return None
        self._seen = newest
        return Arrival(sure=False)

    def _are_at(self, place: Position03) -> bool:
        """Tell whether every replica is known to hold the WAL up to a place."""
        database = self._goal.database
        if self._positions is not None:
            logged = list(self._positions.get(database.path, {}).values())
            if len(logged) >= len(database.replicas) and all(at.reaches(place) for at in logged):
                return True
            if not logged and not self._woken:  # before the next commit a daemon logs nothing
                self._woken = True
                self._goal.touch()
        if database.config.metrics:
            page = metrics_page(database.config.metrics)
            found = [measured_position(page, database.path, place.generation, database.replica)]
        else:
            folders = database.folders or []
            found = [stored_position(folder, place.generation) for folder in folders]
        return bool(found) and all(at is not None and at.reaches(place) for at in found)

    def _listed_behind(self, place: Position03) -> Arrival | None:
        """Look for segments that start at or after a place: 0.3 writes segments in order.

        The segment that contains the place proves nothing: the listing shows where a segment
        starts, not its uncompressed length.
        """
        reached = {
            row["replica"]
            for row in self._segments()
            if Position03(row["generation"], row["index"], row["offset"]).reaches(place)
        }
        if len(reached) >= len(self._goal.database.replicas):
            return Arrival(sure=True)
        self._goal.touch_now_and_then()
        return None

    def _newest_segment(self) -> object:
        rows = self._segments()
        return max(((row["created"], row["index"], row["offset"]) for row in rows), default=None)

    def _segments(self) -> list[WALRow]:
        with contextlib.suppress(LitestreamError):
            return listings.wal(
                self._goal.database.path,
                replica=self._goal.database.replica,
                config=self._goal.database.config,
                timeout=self._goal.left(),
            )
        return []


def measured_position(
    metrics: str, database: str, generation: str, replica: str | None = None
) -> Position03 | None:
    """Read the position of a 0.3 replica in the text of the daemon's metrics page.

    If a database has several replicas and none is named, the replica furthest behind counts.
    """
    label = f"db={_quoted(database)},name={'' if replica is None else _quoted(replica)}"
    found: dict[str, list[int]] = {"index": [], "offset": []}
    for line in metrics.splitlines():
        name, _, rest = line.partition("{")
        kind = name.removeprefix("litestream_replica_wal_")
        if kind in found and rest.startswith(label):
            found[kind].append(int(float(line.rpartition(" ")[2])))
    places = list(zip(found["index"], found["offset"], strict=False))
    return Position03(generation, *min(places)) if places else None


def _quoted(label: str) -> str:
    return '"' + label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'


def stored_position(replica: str | os.PathLike[str], generation: str) -> Position03 | None:
    """Find the position of a 0.3 replica that is a directory, in the directory itself.

    Source: 0.3.13 stores `generations/GENERATION/wal/INDEX_OFFSET.wal.lz4`, both hexadecimal; the
    offset is where the segment starts, so the newest segment is measured.
    """
    folder = os.path.join(replica, "generations", generation, "wal")
    try:
        names = os.listdir(folder)
        newest = max(name for name in names if name.endswith(".wal.lz4"))
        index, offset = (int(part, 16) for part in newest.partition(".")[0].split("_"))
        with open(os.path.join(folder, newest), "rb") as file:
            return Position03(generation, index, offset + lz4_length(file.read()))
    except (FileNotFoundError, ValueError):  # the segment is missing, or still being written
        return None


def metrics_page(address: str, timeout: float = _REQUEST) -> str:
    """Return the text of a daemon's metrics page, or nothing."""
    import http.client

    host, _, port = address.rpartition(":")
    try:
        connection = http.client.HTTPConnection(host or "127.0.0.1", int(port), timeout=timeout)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode("utf-8", "replace")
    except (OSError, ValueError, http.client.HTTPException):
        return ""
