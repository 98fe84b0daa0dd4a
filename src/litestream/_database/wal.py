"""Tell the exact position of a commit: in the WAL, in Litestream's local state, in a replica.

Everything here reads files by plain `open()`, which is safe for the `-wal` and for Litestream's own
files. It never opens the database or its `-shm`: closing those drops the locks that SQLite holds on
them in the same process (POSIX).

The question "is this commit in the replica?" takes three answers:

1. `committed_end`: where the WAL's last commit ends, right after the commit returned;
2. `local_txid` (0.5) or `shadow_position` (0.3): what Litestream calls that place, as soon as it
   has copied it into its local state;
3. what the replica holds: on 0.5 the highest `max_txid` of `litestream ltx -level all`, or the
   control socket's `replicated_txid`; on 0.3 the daemon's log (`logged_position`), its metrics
   (`measured_position`), or a replica on disk (`stored_position`).

When the WAL was restarted between 1 and 2, the old place can no longer be found. Ask for
`committed_end` again: a later end covers every earlier commit.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from litestream._database.wal_index import committed_frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WAL_HEADER_SIZE = 32
WAL_FRAME_HEADER_SIZE = 24
LTX_HEADER_SIZE = 100

Salts = tuple[int, int]


class WALEnd(NamedTuple):
    """A place in a WAL: the salts of its header, and a byte offset."""

    salts: Salts
    offset: int


class LocalTransaction(NamedTuple):
    """A level-0 LTX file of the daemon's local state (0.5): its transaction and where it ends.

    ``commit`` is the database's size after it, in pages of ``page_size`` bytes.
    """

    txid: int
    start: int
    end: WALEnd
    commit: int = 0
    page_size: int = 0
    path: str = ""


class Position03(NamedTuple):
    """A place in a 0.3 generation. `wal` is what upstream calls the index of a WAL segment."""

    generation: str
    wal: int
    offset: int

    def reaches(self, other: Position03) -> bool:
        """Say whether a replica that is at this position holds everything up to `other`."""
        return self.generation == other.generation and self[1:] >= other[1:]


def is_database(path: str) -> bool:
    """Say whether there is a file that holds anything; 0 bytes are no database."""
    return os.path.isfile(path) and os.path.getsize(path) > 0


def wal_path(database: str | os.PathLike[str]) -> str:
    """Return the path of a database's write-ahead log."""
    return os.fspath(database) + "-wal"


def meta_path(database: str | os.PathLike[str]) -> str:
    """Return the directory in which Litestream keeps its local state, unless `meta-path` is set."""
    folder, name = os.path.split(os.fspath(database))
    return os.path.join(folder, f".{name}-litestream")


def wal_salts(wal: str | os.PathLike[str]) -> Salts | None:
    """Return the salts of a WAL's header, or None when there is no WAL or it is empty."""
    header = _head(wal, WAL_HEADER_SIZE)
    return struct.unpack(">II", header[16:24]) if header else None


def page_size(wal: str) -> int:
    """Return the size of the pages in a WAL in bytes, or 0 when there is no WAL."""
    header = _head(wal, WAL_HEADER_SIZE)
    return int.from_bytes(header[8:12], "big") if header else 0


def committed_end(wal: str | os.PathLike[str]) -> WALEnd | None:
    """Find where the last commit in a WAL ends; None when there is no WAL or it is empty.

    The wal-index says so. Without one, or while it describes a WAL that is about to begin, whole
    frames count that carry the salts of the header: SQLite would take them for committed. Read
    right after a COMMIT returned, the end covers that commit.
    """
    try:
        file = os.open(wal, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        header = os.pread(file, WAL_HEADER_SIZE, 0)
        if len(header) < WAL_HEADER_SIZE:
            return None
        page_size, _, salt1, salt2 = struct.unpack(">IIII", header[8:24])
        frame_size = WAL_FRAME_HEADER_SIZE + page_size
        salts = header[16:24]
        index = committed_frames(os.fspath(wal).removesuffix("-wal"))
        if index is not None and index[0] == salts:
            return WALEnd((salt1, salt2), WAL_HEADER_SIZE + index[1] * frame_size)
        size = os.fstat(file).st_size
        end = offset = WAL_HEADER_SIZE
        while offset + frame_size <= size and (frame := os.pread(file, 16, offset))[8:] == salts:
            offset += frame_size
            if frame[4:8] != b"\0\0\0\0":  # the database's size in pages: set on commit frames only
                end = offset
        return WALEnd((salt1, salt2), end)
    finally:
        os.close(file)


def is_being_restarted(wal: str) -> bool:
    """Tell whether the wal-index describes another WAL than the one in the file: the next one."""
    index = committed_frames(wal.removesuffix("-wal"))
    salts = wal_salts(wal)
    return index is not None and salts is not None and index[0] != struct.pack(">II", *salts)


def local_transactions(meta: str | os.PathLike[str]) -> Iterator[LocalTransaction]:
    """Yield the level-0 LTX files of a 0.5 daemon's local state, newest first."""
    folder = os.path.join(meta, "ltx", "0")
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(folder), reverse=True):
            # A file may go away meanwhile (retention), and a `.tmp` is not there yet.
            path = os.path.join(folder, name)
            header = _head(path, LTX_HEADER_SIZE) if name.endswith(".ltx") else b""
            if header[:4] == b"LTX1":
                page_size, commit = struct.unpack(">II", header[8:16])
                (txid,) = struct.unpack(">Q", header[24:32])
                start, size, salt1, salt2 = struct.unpack(">QQII", header[48:72])
                end = WALEnd((salt1, salt2), start + size)
                yield LocalTransaction(txid, start, end, commit, page_size, path)


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


def logged_position(fields: Mapping[str, object]) -> Position03 | None:
    """Read how far a 0.3 replica has come from the fields of a `wal segment written` log line.

    Source: 0.3.13 logs where a segment starts (`position=GENERATION/HEXINDEX:OFFSET`, the offset
    decimal) and how long it is uncompressed (`sz`).
    """
    try:
        generation, _, place = str(fields["position"]).partition("/")
        index, _, offset = place.partition(":")
        return Position03(generation, int(index, 16), int(offset) + int(str(fields["sz"])))
    except (KeyError, ValueError):
        return None


def measured_position(
    metrics: str, database: str, generation: str, replica: str | None = None
) -> Position03 | None:
    """Read how far a 0.3 replica has come from the text of the daemon's metrics page.

    With several replicas of one database, the one that is furthest behind counts, unless one is
    named.
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
    """Find how far a 0.3 replica that is a directory has come, from the directory itself.

    Source: 0.3.13 stores `generations/GENERATION/wal/INDEX_OFFSET.wal.lz4`, both hexadecimal; the
    offset is where the segment starts, so the newest one is measured.
    """
    folder = os.path.join(replica, "generations", generation, "wal")
    try:
        names = os.listdir(folder)
        newest = max(name for name in names if name.endswith(".wal.lz4"))
        index, offset = (int(part, 16) for part in newest.partition(".")[0].split("_"))
        with open(os.path.join(folder, newest), "rb") as file:
            return Position03(generation, index, offset + lz4_length(file.read()))
    except (FileNotFoundError, ValueError):  # nothing there yet, or being written
        return None


def lz4_length(frame: bytes) -> int:
    """Return how many bytes an LZ4 frame holds uncompressed.

    Raises:
        ValueError: It is no complete LZ4 frame.

    Source: the LZ4 frame and block formats. 0.3.13 writes no content size into the frame, so the
    sequences are walked; nothing is decompressed.

    """
    if frame[:4] != b"\x04\x22\x4d\x18":
        raise ValueError("not an LZ4 frame")
    if len(frame) < 7:
        raise ValueError("the LZ4 frame is cut off")
    flags = frame[4]
    at = 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
    total = 0
    while True:
        if len(head := frame[at : at + 4]) < 4:
            raise ValueError("the LZ4 frame is cut off")
        (size,) = struct.unpack("<I", head)
        at += 4
        if size == 0:
            return total
        stored, size = bool(size & 0x80000000), size & 0x7FFFFFFF
        if at + size > len(frame):
            raise ValueError("the LZ4 frame is cut off")
        try:
            total += size if stored else _lz4_block_length(frame, at, at + size)
        except IndexError:
            raise ValueError("not an LZ4 frame") from None
        at += size + (4 if flags & 0x10 else 0)


def _lz4_block_length(data: bytes, at: int, end: int) -> int:
    total = 0
    while at < end:
        token = data[at]
        at += 1
        literals = token >> 4
        if literals == 15:
            while (more := data[at]) == 255:
                literals += more
                at += 1
            literals += more
            at += 1
        at += literals
        total += literals
        if at >= end:  # the last sequence has no match
            break
        at += 2
        match = (token & 15) + 4
        if token & 15 == 15:
            while (more := data[at]) == 255:
                match += more
                at += 1
            match += more
            at += 1
        total += match
    return total


def _head(path: str | os.PathLike[str], size: int) -> bytes:
    """Read the first bytes of a file; nothing when it is missing or shorter."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        head = os.read(file, size)
    finally:
        os.close(file)
    return head if len(head) == size else b""
