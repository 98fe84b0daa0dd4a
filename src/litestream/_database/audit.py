"""See whether what Litestream has copied is what SQLite has committed.

A writer that is killed inside COMMIT leaves frames behind the committed end of the WAL. SQLite
never reads them, and the next writer writes over them; both series of Litestream copy them, for
their salts and checksums are right. The replica then holds rows that never were, and lacks those
that were committed in their place: `integrity_check` may be content, and nothing is logged.

So each piece that Litestream has copied is compared. As long as its WAL lasts, it is compared with
the WAL, as soon as the wal-index says that it is committed: those frames do not change then. Once
the WAL has been restarted, it is compared with the database file, into which all of the WAL was
checkpointed before; pages that were written again since are left out.

SQLite itself, up to 3.50.1, commits frames without their salts and checksum when a transaction that
is larger than its page cache goes back to a savepoint. It reads them as long as the wal-index
lasts, and loses them, with all that follows, when the WAL is recovered after a crash. Litestream
copies nothing from there on. Such a WAL is `torn`: only a checkpoint makes it good.
"""

from __future__ import annotations

import os
import struct
import time
from contextlib import closing, suppress

from litestream._database.files import wal_path
from litestream._database.frames import Frames
from litestream._database.local_state import local_transactions, newest_local
from litestream._database.ltx import Pages, disguise
from litestream._database.wal import (
    WAL_HEADER_SIZE,
    WALEnd,
    committed_end,
    is_being_restarted,
    wal_salts,
)
from litestream._database.wal_index import kept_open

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestream._database.local_state import LocalTransaction
    from litestream._database.wal import Salts

    Differing = Callable[[dict[int, bytes]], int]

_PIECES = 8
"""Pieces that are looked at the first time."""
_TICK = 100_000_000  # nanoseconds
_RESTARTS = 1000
_WRONG = "what was copied is not what was committed"
_TORN = (
    "SQLite has committed frames without a checksum to the WAL, as it does before 3.50.2 when a "
    "large transaction goes back to a savepoint; nobody can copy what follows them"
)


class Audit:
    """The audit of one database's local state.

    `hole` says what is wrong with what was copied, until a copy of the whole database follows.
    `unsettled` is true while that cannot be told yet; `ahead` if that is because something was
    copied that no commit covers: a writer may be about to commit it, or was killed. `start` is
    where the newest copy of the whole database begins that is known, `final` is to be set once no
    daemon runs that could copy more. `torn` is true while the WAL is (see above).
    """

    final = False
    start: int | str = 0

    def __init__(self, database: str, meta: str, pieces: int = _PIECES) -> None:
        self.database = database
        self.meta = meta
        self.hole = ""
        self.unsettled = self.ahead = self.torn = False
        self._pieces = pieces
        self._wal = wal_path(database)
        self._sound: WALEnd | None = None

    @property
    def clean(self) -> bool:
        """Tell whether everything that was copied is known to be committed."""
        return not (self.hole or self.unsettled)

    def look(self) -> bool:
        """Look at what is new, and say whether all is clean."""
        self._compare()
        self._look_for_tears()
        return self.clean

    def leftover(self) -> bytes:
        """Return a mark of the transaction behind the last commit: see `Frames.leftover`."""
        end = committed_end(self._wal)
        if end is None:
            return b""
        with closing(Frames(self._wal, end.salts)) as frames:
            return frames.leftover(end.offset)

    def newest(self) -> str:
        """Return the file that the daemon's next sync goes on from; empty when there is none."""
        raise NotImplementedError

    def forget(self) -> None:
        """Let the daemon copy the whole database at its next sync."""
        raise NotImplementedError

    def _compare(self) -> None:
        """Compare what was copied since the last time."""
        raise NotImplementedError

    def _look_for_tears(self) -> None:
        end = committed_end(self._wal)
        if end is None or self._sound is None or end.salts != self._sound.salts:
            if end is not None and self._sound is not None and not self.torn:
                self._look_for_old_tears(self._sound, end)
            self.torn = False
            self._sound = WALEnd(end.salts, WAL_HEADER_SIZE) if end is not None else None
        if end is not None and self._sound is not None and not self.torn:
            with closing(Frames(self._wal, end.salts)) as frames:
                torn = frames.is_torn(self._sound.offset, end.offset)
            if torn and wal_salts(self._wal) != end.salts:
                return  # the WAL was restarted meanwhile
            self.torn, self._sound = torn, end
        if self.torn:
            self.hole = _TORN

    def _look_for_old_tears(self, sound: WALEnd, end: WALEnd) -> None:
        """See whether a WAL was torn and restarted since the last look, by what is left of it."""
        with closing(Frames(self._wal, sound.salts)) as frames:
            if frames.was_torn(max(sound.offset, end.offset)):
                self.hole = _TORN

    def _contradicts(
        self, numbers: set[int], size: int, salts: Salts, later: set[Salts], pages: Differing
    ) -> bool:
        """Tell whether pages that were copied from a WAL are others than in the database file.

        `later` are the WALs since whose pages are left out in `numbers`. Where one is missing, or
        the WAL is restarted meanwhile, this is `unsettled`: it is looked at once more.
        """
        now = committed_end(self._wal)
        file = kept_open(self.database)
        if now is None or file is None or now.salts == salts:
            return False
        # SQLite counts the first salt up at each restart. A WAL that was deleted begins anywhere.
        restarts = (now.salts[0] - salts[0]) & 0xFFFFFFFF
        if restarts > _RESTARTS:
            return False
        if len({*later, now.salts} - {salts}) != restarts:
            self.unsettled = True
            return False
        with closing(Frames(self._wal, now.salts)) as frames:
            numbers = numbers - frames.numbers(WAL_HEADER_SIZE, now.offset)
            content = {n: os.pread(file, size, (n - 1) * size) for n in numbers}
            # A database that has shrunk has lost its last pages.
            content = {n: page for n, page in content.items() if len(page) == size}
            number = pages(content)
            if not number:
                return False
            after = committed_end(self._wal)
            if after is None or after.salts != now.salts:
                self.unsettled = True
                return False
            return number not in frames.numbers(now.offset, after.offset)


class Audit05(Audit):
    """The audit of 0.5's level-0 LTX files."""

    _last: LocalTransaction | None = None
    _mtime = 0

    def _compare(self) -> None:
        """Look at the LTX files that are new."""
        try:
            mtime = os.stat(os.path.join(self.meta, "ltx", "0")).st_mtime_ns
        except OSError:
            return
        if mtime == self._mtime and not self.unsettled:
            return
        self.unsettled = self.ahead = False
        new = self._since_copy_of_all(self._new())
        for number, transaction in enumerate(new):
            with suppress(OSError, struct.error):  # retention has deleted it
                self._examine(transaction, Pages(transaction.path), new[number + 1 :])
            if self.unsettled:
                return
            self._last = transaction
        # Within one tick of the kernel's clock a second file leaves the time as it was.
        self._mtime = mtime if time.time_ns() - mtime > _TICK else 0

    @staticmethod
    def _since_copy_of_all(found: list[LocalTransaction]) -> list[LocalTransaction]:
        """Leave out what a copy of the whole database has made good."""
        for number in range(len(found) - 1, 0, -1):
            with suppress(OSError, struct.error):
                if is_copy_of_all(found[number], Pages(found[number].path)):
                    return found[number:]
        return found

    def newest(self) -> str:
        """Return the newest LTX file."""
        newest = newest_local(self.meta)
        return newest.path if newest else ""

    def forget(self) -> None:
        """Disguise the newest LTX file."""
        newest = self.newest()
        if newest:
            disguise(newest)

    def _new(self) -> list[LocalTransaction]:
        found = []
        for transaction in local_transactions(self.meta):
            if self._last is not None and transaction.txid <= self._last.txid:
                break
            found.append(transaction)
            if self._last is None and len(found) == self._pieces:
                break
        return found[::-1]

    def _examine(
        self, transaction: LocalTransaction, pages: Pages, later: Sequence[LocalTransaction]
    ) -> None:
        before = self._last
        if is_copy_of_all(transaction, pages):
            self.hole, self.start = "", transaction.txid
        elif transaction.start == WAL_HEADER_SIZE:
            pass  # the WAL was restarted: by the daemon's own checkpoint, for it holds the WAL
        elif before is not None and before.txid == transaction.txid - 1:
            if before.end != (transaction.end.salts, transaction.start):
                self.hole = "a part of the WAL was left out"
            elif pages.are_all(transaction.commit) and not self._covers(transaction, before):
                self.hole = "the whole database was copied, but not the whole WAL"
        committed = committed_end(self._wal)
        self.ahead = _is_ahead(transaction.end, committed)
        if self.ahead or is_being_restarted(self._wal):
            self.unsettled = True
            return
        with closing(Frames(self._wal, transaction.end.salts)) as frames:
            commit = frames.commit(transaction.end.offset)
            content = frames.last(transaction.start, transaction.end.offset)
        content = {n: page for n, page in content.items() if n <= transaction.commit}
        if content and (commit != transaction.commit or pages.differing(content)):
            self.hole = _WRONG
        elif committed is None or committed.salts != transaction.end.salts:
            self._compare_with_database(transaction, pages, set(content), later)

    def _covers(self, transaction: LocalTransaction, before: LocalTransaction) -> bool:
        """Tell whether every page of a file that has them all can come from its part of the WAL.

        If not, the rest comes from the database file, where the WAL's earlier part is missing.
        """
        wanted = min(before.commit, transaction.commit)
        with closing(Frames(self._wal, transaction.end.salts)) as frames:
            numbers = frames.numbers(transaction.start, transaction.end.offset)
        return sum(number <= wanted for number in numbers) == wanted

    def _compare_with_database(
        self,
        transaction: LocalTransaction,
        pages: Pages,
        numbers: set[int],
        later: Sequence[LocalTransaction],
    ) -> None:
        numbers = numbers or pages.some()
        for other in later:
            numbers = numbers - Pages(other.path).among(numbers)
        salts = transaction.end.salts
        others = {other.end.salts for other in later}
        if self._contradicts(numbers, pages.page_size, salts, others, pages.differing):
            self.hole = _WRONG


class Audit03(Audit):
    """The audit of 0.3's shadow WAL, a copy of each WAL."""

    _index = 0

    def _compare(self) -> None:
        """Look at the newest copies."""
        self.unsettled = self.ahead = False
        try:
            with open(os.path.join(self.meta, "generation"), encoding="ascii") as file:
                generation = file.read().strip()
            folder = os.path.join(self.meta, "generations", generation, "wal")
            names = sorted(name for name in os.listdir(folder) if name.endswith(".wal"))
        except (OSError, ValueError):
            return  # a new generation begins
        if generation != self.start:
            self.start, self._index, self.hole = generation, 0, ""
        copies = [os.path.join(folder, name) for name in names]
        for number, copy in enumerate(copies):
            index = int(names[number].partition(".")[0], 16)
            if index >= self._index:
                with suppress(FileNotFoundError):
                    self._examine(copy, copies[number + 1 :])
                if self.unsettled:
                    return
                self._index = index

    def newest(self) -> str:
        """Return the file that names the generation."""
        path = os.path.join(self.meta, "generation")
        return path if os.path.exists(path) else ""

    def forget(self) -> None:
        """Begin a new generation: 0.3 does when none is named."""
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self.meta, "generation"))

    def _examine(self, copy: str, later: Sequence[str]) -> None:
        salts = wal_salts(copy)
        if salts is None:
            return
        committed = committed_end(self._wal)
        with closing(Frames(copy, salts)) as copied, closing(Frames(self._wal, salts)) as mine:
            end = copied.end()
            self.unsettled = is_being_restarted(self._wal)
            if committed is not None and committed.salts == salts and end > committed.offset:
                self.unsettled = self.ahead = True
                end = committed.offset
            here, there = mine.head(end - mine.size), copied.head(end - copied.size)
            if here and here != there:  # their running checksums tell
                self.hole = _WRONG
            elif not (later or self.final) and committed is not None and committed.salts != salts:
                self.unsettled = True  # its end may still be copied, before the next one begins
            elif committed is None or committed.salts != salts:
                self._compare_with_database(salts, copied.last(WAL_HEADER_SIZE, end), later)

    def _compare_with_database(
        self, salts: Salts, content: dict[int, bytes], later: Sequence[str]
    ) -> None:
        numbers, others = set(content), set()
        for copy in later:
            found = wal_salts(copy)
            if found is not None:
                others.add(found)
                with closing(Frames(copy, found)) as frames:
                    numbers -= frames.numbers(WAL_HEADER_SIZE, frames.end())

        def differing(pages: dict[int, bytes]) -> int:
            return next((number for number, page in pages.items() if page != content[number]), 0)

        size = len(next(iter(content.values()), b""))
        if self._contradicts(numbers, size, salts, others, differing):
            self.hole = _WRONG


def audit(series: str, database: str, meta: str, pieces: int = _PIECES) -> Audit:
    """Return the audit of a database's local state."""
    return (Audit05 if series == "0.5" else Audit03)(database, meta, pieces)


def is_copy_of_all(transaction: LocalTransaction, pages: Pages) -> bool:
    """Tell whether an LTX file is a copy of the whole database, made from the whole WAL."""
    return transaction.start == WAL_HEADER_SIZE and pages.are_all(transaction.commit)


def _is_ahead(end: WALEnd, committed: WALEnd | None) -> bool:
    return committed is not None and committed.salts == end.salts and end.offset > committed.offset
