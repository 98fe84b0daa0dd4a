"""Whether 0.5's level-0 LTX files hold what SQLite has committed."""

from __future__ import annotations

import os
import struct
import time
from contextlib import closing, suppress

from litestream._database.audit import WRONG, Audit, is_past
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestream._database.local_state import LocalTransaction


class Audit05(Audit):
    """The audit of 0.5's level-0 LTX files."""

    _last: LocalTransaction | None = None
    _mtime = 0

    def _compare(self) -> None:
        """Look at the LTX files that are new."""
        now = time.time_ns()
        try:
            mtime = os.stat(*self._copies()).st_mtime_ns
        except OSError:
            return
        if mtime == self._mtime and not self.unsettled:
            return
        self.unsettled = self.ahead = False
        new = self._since_copy_of_all(self._new())
        self._known = new[-1].path if new else ""
        for number, transaction in enumerate(new):
            with suppress(OSError, struct.error):  # retention has deleted it
                self._examine(transaction, Pages(transaction.path), new[number + 1 :])
            if self.unsettled:
                return
            self._last = transaction
        # A second file within one tick of the kernel's clock does not change the time.
        self._mtime = mtime if is_past(mtime, now) else 0

    def _copies(self) -> Sequence[str]:
        return (os.path.join(self.meta, "ltx", "0"),)

    @staticmethod
    def _since_copy_of_all(found: list[LocalTransaction]) -> list[LocalTransaction]:
        """Leave out the files before the newest copy of the whole database."""
        for number in range(len(found) - 1, 0, -1):
            with suppress(OSError, struct.error):
                if is_copy_of_all(found[number], Pages(found[number].path)):
                    return found[number:]
        return found

    def newest(self) -> str:
        """Return the newest LTX file."""
        newest = newest_local(self.meta)
        return newest.path if newest else ""

    def _last_copy(self) -> object:
        return self.newest()

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
        if transaction.disguised:
            return  # only the next file shows whether the daemon has noticed
        before, doubtful = self._last, False
        if is_copy_of_all(transaction, pages):
            self.hole, self.start = "", transaction.txid
        elif before is not None and before.disguised:
            # The daemon had read the header before the file was disguised.
            self.hole = self.hole or "the whole database was to be copied, and was not"
        elif transaction.start == WAL_HEADER_SIZE:
            pass  # the daemon holds the WAL, so its own checkpoint restarted it
        elif before is not None and before.txid == transaction.txid - 1:
            if before.end != (transaction.end.salts, transaction.start):
                self.hole = "a part of the WAL was left out"
            elif pages.are_all(transaction.commit) and not self._covers(transaction, before):
                if wal_salts(self._wal) == transaction.end.salts:
                    self.hole = "the whole database was copied, but not the whole WAL"
                else:  # or a VACUUM: only the WAL could tell, and it is gone
                    doubtful = True
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
            self.hole = WRONG
        elif committed is None or committed.salts != transaction.end.salts:
            numbers = set(pages.numbers() if doubtful else content)
            if is_copy_of_all(transaction, pages):  # its WAL may have been restarted meanwhile
                numbers |= pages.some()
            self._compare_with_database(transaction, pages, numbers, later)

    def _covers(self, transaction: LocalTransaction, before: LocalTransaction) -> bool:
        """Tell whether each page of a whole copy can come from the file's own part of the WAL.

        If not, the rest comes from the database file, which lacks the WAL's earlier part.
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
            self.hole = WRONG


def is_copy_of_all(transaction: LocalTransaction, pages: Pages) -> bool:
    """Tell whether an LTX file is a copy of the whole database, made from the whole WAL.

    A disguised file may have every page, but not as of the whole WAL.
    """
    return (
        transaction.start == WAL_HEADER_SIZE
        and not transaction.disguised
        and pages.are_all(transaction.commit)
    )


def _is_ahead(end: WALEnd, committed: WALEnd | None) -> bool:
    return committed is not None and committed.salts == end.salts and end.offset > committed.offset
