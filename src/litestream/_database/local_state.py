"""Litestream's local state: what is copied there, and under which names."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from litestream._database.files import head
from litestream._database.wal import WALEnd, wal_salts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LTX_HEADER_SIZE = 100
FILES_OF_AN_END = 6
"""LTX files that a daemon may write during shutdown: of its final sync, and of a checkpoint."""


class LocalTransaction(NamedTuple):
    """A level-0 LTX file of the daemon's local state (0.5): its transaction and where it ends.

    ``commit`` is the database's size after the transaction, in pages of ``page_size`` bytes.
    ``disguised``: this library has disguised the file (see `ltx.disguise`), so its end in the WAL
    is unknown, and the next file should be a copy of the whole database.
    """

    txid: int
    start: int
    end: WALEnd
    commit: int = 0
    page_size: int = 0
    path: str = ""
    disguised: bool = False


class Position03(NamedTuple):
    """A place in a 0.3 generation. `wal` is what upstream calls the index of a WAL segment."""

    generation: str
    wal: int
    offset: int

    def reaches(self, other: Position03) -> bool:
        """Tell whether a replica at this position holds everything up to `other`."""
        return self.generation == other.generation and self[1:] >= other[1:]


def local_transactions(meta: str | os.PathLike[str]) -> Iterator[LocalTransaction]:
    """Yield the level-0 LTX files of a 0.5 daemon's local state, newest first."""
    folder = os.path.join(meta, "ltx", "0")
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(folder), reverse=True):
            # Retention may remove a file meanwhile, and a `.tmp` is not finished.
            path = os.path.join(folder, name)
            header = head(path, LTX_HEADER_SIZE) if name.endswith(".ltx") else b""
            if header[:4] == b"LTX1":
                page_size, commit = struct.unpack(">II", header[8:16])
                (txid,) = struct.unpack(">Q", header[24:32])
                start, size, salt1, salt2 = struct.unpack(">QQII", header[48:72])
                end = WALEnd((salt1, salt2), start + size)
                disguised = any(header[72:80])
                yield LocalTransaction(txid, start, end, commit, page_size, path, disguised)


def newest_local(meta: str | os.PathLike[str]) -> LocalTransaction | None:
    """Return the newest level-0 LTX file of a 0.5 daemon's local state, if there is one."""
    return next(local_transactions(meta), None)


def one_wal(meta: str | os.PathLike[str], count: int) -> bool:
    """Tell whether the newest `count` LTX files of a 0.5 daemon's local state share one WAL."""
    newest = [t.end.salts for t, _ in zip(local_transactions(meta), range(count), strict=False)]
    return len(set(newest)) <= 1


def local_txid(meta: str | os.PathLike[str], end: WALEnd) -> int | None:
    """Return the oldest transaction of the local state (0.5) that covers a place in the WAL."""
    found = None
    for transaction in local_transactions(meta):
        if transaction.end.salts == end.salts:
            if transaction.end.offset < end.offset:
                break
            found = transaction.txid
        elif found is not None:
            break
    return found


def shadow_position(meta: str | os.PathLike[str], end: WALEnd) -> Position03 | None:
    """Return where the shadow WAL (0.3) holds a place in the WAL; None while it does not."""
    try:
        with open(os.path.join(meta, "generation"), encoding="ascii") as file:
            generation = file.read().strip()
        folder = os.path.join(meta, "generations", generation, "wal")
        for name in sorted(os.listdir(folder), reverse=True):
            path = os.path.join(folder, name)
            if wal_salts(path) == end.salts and os.stat(path).st_size >= end.offset:
                return Position03(generation, int(name.partition(".")[0], 16), end.offset)
    except FileNotFoundError:  # a new generation begins, or old shadow files are cleared away
        pass
    return None


def logged_segment(fields: Mapping[str, object]) -> tuple[Position03, Position03] | None:
    """Read the start and end of a segment from the fields of a log line of 0.3.

    The end of one that was written is the position of that replica. One that is only begun has no
    length yet: its end is its start.

    Source: 0.3.13 logs where a segment starts (`position=GENERATION/HEXINDEX:OFFSET`, the offset
    decimal), and once it is written, how long it is uncompressed (`sz`).
    """
    try:
        generation, _, place = str(fields["position"]).partition("/")
        index, _, offset = place.partition(":")
        start = Position03(generation, int(index, 16), int(offset))
        return start, start._replace(offset=start.offset + int(str(fields.get("sz", 0))))
    except (KeyError, ValueError):
        return None
