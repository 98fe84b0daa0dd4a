"""Find the times between which LTX files are missing, so that no restore gives back what was then.

Upstream restores an older state then, and says nothing: what lies before the gap.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from litestream._restore.point_in_time import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from litestream.rows import LTXRow


def lies_in(timestamp: str, start: str, end: str) -> bool:
    """Say whether a time lies in a gap, or may: its ends are whole seconds."""
    return read(start) <= read(timestamp) < read(end) + timedelta(seconds=1)


def in_ltx(rows: Sequence[LTXRow]) -> Iterator[tuple[str, str]]:
    """Yield the gaps between LTX files: what one snapshot and all that follows it do not reach.

    Source: 0.5.17 goes on with any file, of whatever level, that begins at most one transaction
    behind what it has; without a snapshot it begins with transaction 1.
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
