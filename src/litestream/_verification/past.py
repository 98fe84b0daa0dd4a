"""Find the points in time that a replica should be able to give back, and cannot.

A restore takes the last snapshot before the requested time, and the files that follow it without a
break. Where a file is missing in between, the newest state still comes back from a newer snapshot,
as if nothing had happened.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from litestream._executable import contents
from litestream._restore.gaps import in_ltx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from litestream._config.database import Database
    from litestream._verification.result import Gap


def gaps(database: Database, timeout: float) -> list[Gap]:
    """Return the gaps in a database's replica, the oldest first.

    Raises:
        LitestreamError: the replica cannot be listed.

    """
    if database.config.series == "0.5":
        found = in_ltx(contents.ltx(database, timeout))
    else:
        found = _in_generations(*contents.snapshots_and_wal(database, timeout))
    return [{"replica": database.names[0], "start": start, "end": end} for start, end in found]


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
