"""Find the points in time that a replica should be able to give back, and cannot.

A restore takes the last snapshot before the requested time, and the files that follow it without a
break. Where a file is missing in between, the newest state still comes back from a newer snapshot,
as if nothing had happened.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from litestream._executable import listings
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from litestream._config.config import Database
    from litestream._verification.result import Gap
    from litestream.rows import LTXRow


def moment(timestamp: datetime | str) -> str:
    """Return a time as the executable takes it: UTC. One without a zone is local time.

    Raises:
        ConfigurationError: the text is no time, or the time has not come yet.

    """
    if isinstance(timestamp, str):
        timestamp = _read(timestamp)
    if timestamp.astimezone(timezone.utc) > datetime.now(timezone.utc):
        raise ConfigurationError(f"timestamp={str(timestamp)!r} has not come yet")
    return timestamp.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ConfigurationError(
            f"timestamp={text!r} is no time: write it like 2026-11-25T13:00:00Z"
        ) from None


def lies_in(timestamp: str, gap: Gap) -> bool:
    """Say whether a time lies in a gap, or may: the ends of gaps are whole seconds."""
    end = _read(gap["end"]) + timedelta(seconds=1)
    return _read(gap["start"]) <= _read(timestamp) < end


def gaps(database: Database, timeout: float) -> list[Gap]:
    """Return the gaps in a database's replica, the oldest first.

    Raises:
        LitestreamError: the replica cannot be listed.

    """
    options: dict[str, Any] = {"config": database.config, "timeout": timeout}
    if database.config.series == "0.5":
        found = _in_ltx(listings.ltx(database.path, level="all", **options))
    else:
        options["replica"] = database.replica
        found = _in_generations(
            listings.snapshots(database.path, **options),
            listings.wal(database.path, **options),
        )
    return [{"replica": database.names[0], "start": start, "end": end} for start, end in found]


def _in_ltx(rows: Sequence[LTXRow]) -> Iterator[tuple[str, str]]:
    """Yield the gaps between LTX files: the times that no snapshot reaches with its followers.

    Source: 0.5.17 continues with any file, of whatever level, that begins at most one transaction
    behind its state; without a snapshot it begins with transaction 1.
    """
    files = [(int(row["min_txid"], 16), int(row["max_txid"], 16), row) for row in rows]
    files.sort(key=lambda file: file[:2])
    bases = [(last, row["created"]) for _, last, row in files if row["level"] == 9]
    deltas = [file for file in files if file[2]["level"] != 9]
    if deltas and deltas[0][0] == 1:
        bases.insert(0, (0, deltas[0][2]["created"]))
    for (reached, since), (wanted, end) in pairwise(bases):
        for first, last, row in deltas:
            if first > reached + 1:
                break
            if last > reached:
                reached, since = last, row["created"]
        if reached < wanted:
            yield min(since, end), end


def _in_generations(
    snapshots: Sequence[Mapping[str, Any]], segments: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Yield the gaps in generations: WAL indexes of which all segments or the first are missing.

    Source: 0.3.13 restores nothing behind a missing index, and, once an index lacks its beginning,
    nothing of that generation at all. Listings do not show a gap behind the first segment.
    """
    rows = sorted([*snapshots, *segments], key=lambda row: (row["generation"], row["index"]))
    generations = [list(group) for _, group in groupby(rows, key=lambda row: row["generation"])]
    generations.sort(key=lambda group: min(row["created"] for row in group))
    begins = [
        min((row["created"] for row in group if "offset" not in row), default="")
        for group in generations
    ]
    for number, group in enumerate(generations):
        after = next((begin for begin in begins[number + 1 :] if begin), "")
        yield from _in_generation(group, after)


def _in_generation(rows: Sequence[Mapping[str, Any]], after: str) -> Iterator[tuple[str, str]]:
    """Yield the gaps in a generation; ``after`` is when the next one begins, "" for none."""
    bases = {row["index"]: row["created"] for row in rows if "offset" not in row}
    offsets: dict[int, int] = {}
    last: dict[int, str] = {}
    for row in rows:
        if "offset" in row:
            index = row["index"]
            offsets[index] = min(row["offset"], offsets.get(index, row["offset"]))
            last[index] = max(row["created"], last.get(index, ""))
    if not bases:
        if after and last:
            yield min(last.values()), after
        return
    index = min(bases)
    since = bases[index]
    while index <= max(last, default=-1):
        if offsets.get(index) == 0:
            since = max(since, last[index])
            index += 1
            continue
        later = min((at for at in bases if at > index), default=None)
        end = after if later is None or index in offsets else bases[later]
        if end:
            yield min(since, end), end
        if later is None or index in offsets:
            return
        index, since = later, bases[later]
