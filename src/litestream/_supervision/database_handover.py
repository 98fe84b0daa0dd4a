"""Start a 0.5 daemon on a database that others may be writing to, without losing a commit.

The fault (measured on 0.5.17, read in its `db.go`): a daemon that starts compares the WAL with the
newest LTX file of its local state. When the WAL was restarted meanwhile (new salts) and the last
frame of that LTX file still stands at its old place, 0.5.17 carries on at the first frame of the
new WAL. What was committed to the old WAL after that last frame is in no LTX file, for good: no
error, `integrity_check` is content, the newest rows are there. 0.3.13 compares the headers at its
start and begins a new generation; in 0.5.17 that is commented out (`verifyHeadersMatch`).

The window lasts from the last look of the old daemon to the first look of the new one, which is one
`monitor-interval` after its start: only then does it take the read transaction that keeps others
from restarting the WAL. The hand-over closes it, for each database:

- *The WAL is the one that the newest LTX file describes* (same salts): nothing is missing. The WAL
  is pinned by a read transaction, until the daemon was seen to have read it.
- *It is another one*: the LTX file is disguised (see `ltx`). The daemon does not find its last
  frame in the WAL, so it copies the whole database into the chain.
- *There is no LTX file to tell*: the WAL is truncated, to the same effect.

A read transaction does not always keep the WAL. If the WAL is fully checkpointed, the reader reads
from the database alone, and SQLite lets the next writer restart the WAL. The daemon's own read
transaction is such a reader, too, and that is worse: when 0.5.17 copies the whole database, or
writes a snapshot, it reads pages where the next WAL's stand by then. Nothing is logged, and what is
restored is malformed (measured: 5 of 5 times when the first commit after the start came during the
snapshot).

So a change of ours is committed behind the pin. Nobody can checkpoint the change while the pin
lasts. The daemon's read transaction begins meanwhile, reads the change from the WAL, and keeps the
WAL from then on. If the WAL was fully checkpointed, the change restarts the WAL: then the daemon
can go on only if it had copied the old WAL to its end.

The end of a daemon opens the same window. On SIGTERM 0.5.17 cancels the context of its read
transaction first and does its final sync afterwards; in between, the WAL may be restarted, and the
final sync then makes the jump itself, into a chain that looks whole. So we pin the WAL before we
send SIGTERM. Where somebody else ended the daemon, and not by SIGKILL, the chain is trusted only if
its newest files all come from one WAL.

Seen to have read it: the first bare `/sync` on the control socket was answered, or an LTX file
appeared that ends at or behind the end of the held WAL. Never: time has passed. The first LTX file
that the daemon writes is then compared with the last one from before. Where they do not join,
because the daemon came too late (its replica did not answer), `broken` says so: there is a hole in
the chain, to be mended by a copy of the whole database (see `_supervision.mending`).
"""

from __future__ import annotations

import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from litestream._database.audit_05 import is_copy_of_all
from litestream._database.connect import (
    LOCK_WAIT,
    TRUNCATE_WAIT,
    bump,
    change,
    open_by_uri,
    truncate_wal,
)
from litestream._database.local_state import (
    FILES_OF_AN_END,
    local_transactions,
    newest_local,
    one_wal,
)
from litestream._database.ltx import Pages, disguise
from litestream._database.wal import (
    WAL_HEADER_SIZE,
    WALEnd,
    committed_end,
    wal_path,
    wal_salts,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from litestream._database.local_state import LocalTransaction

PIN_TIME = 60.0
"""Seconds for which the WAL is pinned at most; it grows meanwhile."""


class Handover:
    """The hand-over of one database to a daemon that is about to be started.

    Make one as soon as no daemon runs; just before the next is started, `arm` it; call `poll` until
    it is `done`, and `close` it whatever happens. For the end of a daemon, make one and call
    `hold_for_end`. `broken` is true when the daemon is known to have missed something, or cannot be
    known not to have; `whole` when it copies the whole database.
    """

    def __init__(self, database: str, meta: str) -> None:
        self.database = database
        self.meta = meta
        self.done = False
        self.broken = False
        self.whole = False
        self._before: LocalTransaction | None = None
        self._from: WALEnd | None = None
        self._end: WALEnd | None = None
        self._pin: sqlite3.Connection | None = None
        self._since = time.monotonic()
        if wal_salts(wal_path(database)) is not None:
            self._attempt(self._pin_wal)

    def arm(self, *, whole: bool = False, trusted: bool = True, wait: float = LOCK_WAIT) -> None:
        """Keep the WAL, or let the daemon copy the whole database: with `whole`, or if need be.

        `trusted`: the last daemon cannot have skipped frames while it shut down, because it was
        killed, or because the WAL was held. `wait`: seconds that a write transaction may take.
        """
        self._since = time.monotonic()
        self._before = newest_local(self.meta)
        whole = whole or not (trusted or one_wal(self.meta, FILES_OF_AN_END))
        if self._pin is None and wal_salts(wal_path(self.database)) is not None:
            self._attempt(self._pin_wal)
        if not whole and self._attempt(lambda: self._goes_on(wait)):
            self._end = committed_end(wal_path(self.database))
            return
        self.whole = True
        if self._before is not None:
            bump(self.database)  # frames that a dead writer has left must not be copied, either
            with suppress(OSError):
                disguise(self._before.path)
        elif wal_salts(wal_path(self.database)) is not None:
            self.close()
            self._attempt(self._truncate)
        else:
            self.close()

    @property
    def is_pinned(self) -> bool:
        """Tell whether the WAL is pinned, so that nobody restarts it."""
        return self._pin is not None

    def poll(self, answered: Callable[[], bool]) -> None:
        """Release the locks that are no longer needed; `answered`: the daemon has synced."""
        if self.done:
            return
        if self._has_read() or answered():
            self.broken = not self._joined()
            self.done = True
            self.close()
            return
        if time.monotonic() - self._since > PIN_TIME:
            self.close()

    def hold_for_end(self) -> None:
        """Pin the WAL while a daemon that still runs does its final sync.

        The pin certainly reads from the WAL: the daemon's own read transaction is older, so the
        change before the pin is not checkpointed.
        """
        self.close()
        bump(self.database)
        self._attempt(self._pin_wal)

    def close(self) -> None:
        """Release the pin."""
        if self._pin is not None:
            self._pin.close()
            self._pin = None

    def _attempt(self, step: Callable[[], bool]) -> bool:
        """Do one step, and skip a step that the database does not allow.

        The database is locked for long, read-only, or no database at all: the daemon will log
        that, and its LTX files show whether it missed frames.
        """
        import sqlite3

        try:
            return step()
        except (sqlite3.Error, OSError):  # OSError: too many open files
            self.close()
            return False

    def _pin_wal(self) -> bool:
        # Read-only, and closed last: the last connection to a database checkpoints and deletes
        # the WAL when it closes, unless it may not write.
        self._pin = open_by_uri(self.database, "ro", LOCK_WAIT)
        self._pin.execute("BEGIN")
        self._pin.execute("SELECT 1 FROM sqlite_master").fetchone()
        return True

    def _goes_on(self, wait: float) -> bool:
        """Commit behind the pin, and tell whether the daemon can go on from its newest LTX file.

        If a long write transaction is still under way after some seconds, the pin alone must do;
        likewise if the row cannot be changed.
        """
        import sqlite3

        before, wal = self._before, wal_path(self.database)
        if before is None or self._pin is None or wal_salts(wal) != before.end.salts:
            return False
        self._from = before.end
        try:
            with closing(open_by_uri(self.database, "rw", wait)) as connection:
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute("BEGIN IMMEDIATE")
                end = committed_end(wal)
                change(connection)
                connection.execute("COMMIT")
        except sqlite3.Error:
            return wal_salts(wal) == before.end.salts
        salts = wal_salts(wal)
        if salts == before.end.salts:
            return True
        self._from = WALEnd(salts, WAL_HEADER_SIZE) if salts is not None else None
        return end == before.end

    def _truncate(self) -> bool:
        with closing(open_by_uri(self.database, "rw", TRUNCATE_WAIT)) as connection:
            truncate_wal(connection)
            self._pin_wal()
            bump(self.database)
            return True

    def _has_read(self) -> bool:
        newest = newest_local(self.meta)
        if newest is None or (self._before is not None and newest.txid <= self._before.txid):
            return False
        return self._end is None or (
            newest.end.salts != self._end.salts or newest.end.offset >= self._end.offset
        )

    def _joined(self) -> bool:
        """Tell whether the daemon's first LTX file follows on the last one from before."""
        if self._before is None:
            return True  # the first file holds the whole database
        for transaction in local_transactions(self.meta):
            if transaction.txid == self._before.txid + 1:
                goes_on = (transaction.end.salts, transaction.start) == self._from
                return (goes_on and not self.whole) or _is_whole(transaction)
        newest = newest_local(self.meta)  # it found nothing new
        return not self.whole and newest is not None and newest.txid == self._before.txid


def _is_whole(transaction: LocalTransaction) -> bool:
    try:
        return is_copy_of_all(transaction, Pages(transaction.path))
    except OSError:
        return False
