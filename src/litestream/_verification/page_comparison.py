"""Compare a restored copy with its source, byte for byte, at one transaction.

Nothing is locked and nothing is written. A read transaction on the source keeps its WAL from being
restarted. What the database file holds together with the WAL's frames up to a commit is the
database at that commit, wherever the reader itself stands: pages that no frame touches are the
same in both. So the source is copied once, the frames are laid over it commit by commit, and the
restored copy must be equal at one of those commits, none of them older than the call.

Equal means every page except those that are free in both files. Nothing less will do: a changed
index, type or rowid leaves every ``SELECT *`` as it was.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
from typing import TYPE_CHECKING, NamedTuple

from litestream._database import wal as wal_file
from litestream._database.wal import WAL_FRAME_HEADER_SIZE, WAL_HEADER_SIZE
from litestream.errors import NotEnoughSpaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from litestream._database.wal import WALEnd

_CHUNK = 1 << 20
_BACKUP_PAGES = 4096  # between two chances to interrupt

# What SQLite's backup and Litestream's restore write into the first page: the journal mode, the
# change counter, the schema cookie, the version for which the counter is valid, and the version of
# the SQLite that wrote it.
_MASKED = ((18, 20), (24, 28), (40, 44), (92, 100))
_FREELIST = 32  # where page 1 has the freelist's first page
_LOCKED = 0x40000000  # the byte that SQLite locks; its page holds nothing


class MovedError(Exception):
    """The source's WAL was restarted meanwhile, so the pages read do not fit together."""


class Pin:
    """A read transaction on the source; ``end`` covers every commit that came before it.

    Long steps call ``interrupt`` again and again; it may raise to end them.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        wal: str,
        interrupt: Callable[[], object] = lambda: None,
    ) -> None:
        self.connection = connection
        self.interrupt = interrupt
        self._wal = wal
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_schema").fetchall()
        self.end = wal_file.committed_end(wal)

    def release(self) -> None:
        """End the read transaction, so that the WAL can be restarted again."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def copy(self, path: str) -> None:
        """Copy the source as it was when it was pinned, or a little later: see the module.

        Raises:
            NotEnoughSpaceError: the file system is full.

        """
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode=OFF")  # half a copy is of no use
            copy.execute("PRAGMA synchronous=OFF")
            try:
                self.connection.backup(
                    copy, pages=_BACKUP_PAGES, progress=lambda *_: self.interrupt()
                )
            except sqlite3.OperationalError as error:
                if "full" not in str(error):
                    raise
                folder = os.path.dirname(os.path.dirname(path))
                raise NotEnoughSpaceError(
                    f"The copy of the database, to compare the restored one with, has no room in "
                    f"{folder!r}: the file system is full"
                ) from error

    def commits(self) -> list[Commit]:
        """Return the commits in the WAL, up to now, the pages of each.

        Raises:
            MovedError: the WAL was restarted since the source was pinned.

        """
        if self.end is None:
            return []
        now = wal_file.committed_end(self._wal)
        if now is None or now.salts != self.end.salts:
            raise MovedError
        found = []
        for commit in _commits(self._wal, now):
            self.interrupt()
            found.append(commit)
        if wal_file.wal_salts(self._wal) != self.end.salts:
            raise MovedError
        return found


class Commit(NamedTuple):
    """A transaction in the WAL: where it ends, the database's size then, and its pages.

    ``pages`` maps a page's number to the offset of its content in the WAL.
    """

    end: int
    size: int
    pages: dict[int, int]


def _commits(wal: str, end: WALEnd) -> Iterator[Commit]:
    """Yield the commits up to ``end``; frames behind it may look like a commit, and are none."""
    with open(wal, "rb") as file:
        header = file.read(WAL_HEADER_SIZE)
        (page_size,) = struct.unpack(">I", header[8:12])
        pages: dict[int, int] = {}
        offset = WAL_HEADER_SIZE
        while offset < end.offset and len(frame := os.pread(file.fileno(), 8, offset)) == 8:
            number, size = struct.unpack(">II", frame)
            pages[number] = offset + WAL_FRAME_HEADER_SIZE
            offset += WAL_FRAME_HEADER_SIZE + page_size
            if size:
                yield Commit(offset, size, pages)
                pages = {}


def is_equal(pin: Pin, copy: str, restored: str, wal: str) -> bool:
    """Say whether the restored file is what the source was at a commit, not before the pin.

    ``copy`` (made by ``Pin.copy``) is brought to that commit; to the one at which the fewest pages
    differ where there is none.

    Raises:
        MovedError: the WAL was restarted meanwhile.

    """
    commits = pin.commits()
    with contextlib.ExitStack() as stack:
        mine = stack.enter_context(open(copy, "r+b")).fileno()
        other = stack.enter_context(open(restored, "rb")).fileno()
        log = stack.enter_context(open(wal, "rb")).fileno() if commits else -1
        start = pin.end.offset if pin.end else 0
        before = [commit for commit in commits if commit.end <= start]
        after = [commit for commit in commits if commit.end > start]
        files = _Files(mine, other, log, _page_size(mine), pin.interrupt)
        _lay_over(files, before)
        left, best = _fewest(files, after)
        _lay_over(files, after[:best])
        if pin.end is not None and wal_file.wal_salts(wal) != pin.end.salts:
            raise MovedError
        return left == 0


class _Files(NamedTuple):
    mine: int
    other: int
    log: int
    page_size: int
    interrupt: Callable[[], object]

    def page_of(self, file: int, number: int) -> bytes:
        return os.pread(file, self.page_size, (number - 1) * self.page_size)

    def same(self, page: int, commit: Commit) -> bool:
        """Say whether a page that a commit has written is the same in the restored file."""
        there = self.page_of(self.other, page)
        at = commit.pages.get(page)
        if at is None:  # the file has grown over a page that nobody wrote
            return there == bytes(self.page_size)
        here = os.pread(self.log, self.page_size, at)
        return _masked(here) == _masked(there) if page == 1 else here == there


def _fewest(files: _Files, after: list[Commit]) -> tuple[int, int]:
    """Return the smallest number of differing pages, and after how many commits it occurs."""
    restored = os.fstat(files.other).st_size // files.page_size
    size = os.fstat(files.mine).st_size // files.page_size
    free = _free(files, files.other, {})
    differing = _differing(files, free | {page for commit in after for page in commit.pages})
    written: dict[int, int] = {}
    fewest, best = None, 0
    for number, commit in enumerate([None, *after]):
        files.interrupt()
        if commit is not None:
            for page in {*commit.pages, *range(size + 1, commit.size + 1)}:
                if files.same(page, commit):
                    differing.discard(page)
                else:
                    differing.add(page)
            written.update(commit.pages)
            size = commit.size
        at_risk = {page for page in differing if page <= size}
        left = len(at_risk - free) + (size != restored)
        if not left and at_risk:  # they are free in the restored file: in the database, too?
            here = _free(files, files.mine, written)
            left = len(at_risk - here) or int(here != free)
        if fewest is None or left < fewest:
            fewest, best = left, number
        if not left:
            break
    return fewest or 0, best


def _free(files: _Files, file: int, written: dict[int, int]) -> set[int]:
    """Return the free pages of a database: those of its freelist, and the page of SQLite's locks.

    ``written`` are the pages that the WAL has instead. Source: the SQLite file format: a trunk page
    holds the next trunk's number, how many leaves it names, and their numbers.
    """

    def content(number: int) -> bytes:
        if number in written:
            return os.pread(files.log, files.page_size, written[number])
        return files.page_of(file, number)

    found = {_LOCKED // files.page_size + 1}
    trunk = int.from_bytes(content(1)[_FREELIST : _FREELIST + 4], "big")
    while trunk and trunk not in found:
        files.interrupt()
        found.add(trunk)
        page = content(trunk)
        if len(page) < files.page_size:
            break
        trunk, count = struct.unpack(">II", page[:8])
        count = min(count, files.page_size // 4 - 2)
        found.update(struct.unpack(f">{count}I", page[8 : 8 + 4 * count]))
    return found


def _lay_over(files: _Files, commits: list[Commit]) -> None:
    size = files.page_size
    for commit in commits:
        files.interrupt()
        for number, offset in commit.pages.items():
            os.pwrite(files.mine, os.pread(files.log, size, offset), (number - 1) * size)
    if commits:
        os.ftruncate(files.mine, commits[-1].size * size)


def _page_size(file: int) -> int:
    (size,) = struct.unpack(">H", os.pread(file, 2, 16))
    return 65536 if size == 1 else size


def _masked(content: bytes) -> bytes:
    masked = bytearray(content)
    for start, end in _MASKED:
        masked[start:end] = bytes(end - start)
    return bytes(masked)


def _differing(files: _Files, allowed: set[int]) -> set[int]:
    """Return the pages that differ, as far as both files go.

    Stop at the first differing page that is not ``allowed`` (rewritten later, or free): it can
    never become equal, and there may be any number of such pages. Go on behind page 1: it is the
    smallest part of what may differ.
    """
    found: set[int] = set()
    size = files.page_size
    offset = 0
    while True:
        files.interrupt()
        mine, others = os.pread(files.mine, _CHUNK, offset), os.pread(files.other, _CHUNK, offset)
        if mine != others:
            for at in range(0, min(len(mine), len(others)), size):
                number = (offset + at) // size + 1
                left, right = mine[at : at + size], others[at : at + size]
                if left != right and (number > 1 or _masked(left) != _masked(right)):
                    found.add(number)
                    if number > 1 and number not in allowed:
                        return found
        if len(mine) < _CHUNK or len(others) < _CHUNK:
            return found
        offset += _CHUNK
