"""Compare what Litestream has copied with what SQLite has committed.

A writer that is killed inside COMMIT leaves frames behind the committed end of the WAL. SQLite
never reads them, and the next writer writes over them; both series of Litestream copy them, because
their salts and checksums are right. The replica then holds rows that were never committed, and
lacks the rows that were committed in their place: `integrity_check` may pass, and nothing is
logged.

So each copied piece is compared. While its WAL lasts, the piece is compared with the WAL, as soon
as the wal-index says that the frames are committed: committed frames do not change. After a restart
of the WAL, the piece is compared with the database file, into which the whole WAL was checkpointed;
pages that were written since then are left out.

SQLite up to 3.50.1 commits frames without salts and checksum when a transaction that is larger than
the page cache rolls back to a savepoint. SQLite reads these frames while the wal-index lasts. When
the WAL is recovered after a crash, SQLite loses them and every later frame. Litestream copies
nothing from there on. Such a WAL is `torn`: only a checkpoint repairs it.
"""

from __future__ import annotations

import os
import time
from contextlib import closing

from litestream._database.frames import Frames
from litestream._database.open_files import kept_open
from litestream._database.wal import (
    WAL_HEADER_SIZE,
    WALEnd,
    committed_end,
    wal_path,
    wal_salts,
)
from litestream._database.wal_index import header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestream._database.wal import Salts

    Differing = Callable[[dict[int, bytes]], int]
    Traces = tuple[object, ...]

PIECES = 8
"""Pieces that the first look compares."""
_RESTARTS = 1000
_SECOND = 1_000_000_000
_TICK, _COARSE = 100_000_000, 2_100_000_000
"""Nanoseconds within which two changes of a file may have the same time, and where times are whole
seconds: on FAT, and on ext4 with small inodes, as small disks have them.
"""
WRONG = "what was copied is not what was committed"
_TORN = (
    "SQLite has committed frames without a checksum to the WAL, as it does before 3.50.2 when a "
    "large transaction goes back to a savepoint; nobody can copy what follows them"
)


class Audit:
    """The audit of one database's local state.

    `hole` says what is wrong with the copy, until a copy of the whole database follows. `unsettled`
    is true while a piece cannot be judged yet; `ahead` if frames were copied that no commit covers:
    their writer may be about to commit them, or was killed. `start` is where the newest known copy
    of the whole database begins. Set `final` when no daemon runs that could copy more. `torn` is
    true while the WAL is torn (see above).
    """

    final = False
    start: int | str = 0

    def __init__(self, database: str, meta: str, pieces: int = PIECES) -> None:
        self.database = database
        self.meta = meta
        self.hole = ""
        self.unsettled = self.ahead = self.torn = False
        self._pieces = pieces
        self._known: object = None
        self._wal = wal_path(database)
        self._sound: WALEnd | None = None

    @property
    def clean(self) -> bool:
        """Tell whether everything that was copied is known to be committed."""
        return not (self.hole or self.unsettled)

    def look(self) -> bool:
        """Compare what is new, and tell whether all is clean."""
        self._compare()
        self._look_for_tears()
        return self.clean

    def traces(self) -> Traces:
        """Return what changes when there is something new to look at.

        Nothing is returned while the times of the files may not show the next change.
        """
        index, copies = header(self.database), self._copies()
        if not index or not copies:
            return ()
        found: list[object] = [index]
        now = time.time_ns()
        try:
            for path in (self._wal, *copies):
                stat = os.stat(path)
                found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
                if not is_past(stat.st_mtime_ns, now):
                    return ()
        except OSError:
            return ()
        return tuple(found)

    def leftover(self) -> bytes:
        """Return a mark of the transaction behind the last commit: see `Frames.leftover`."""
        end = committed_end(self._wal)
        if end is None:
            return b""
        with closing(Frames(self._wal, end.salts)) as frames:
            return frames.leftover(end.offset)

    def newest(self) -> str:
        """Return the file from which the daemon's next sync continues; empty if there is none."""
        raise NotImplementedError

    def forget(self) -> None:
        """Let the daemon copy the whole database at its next sync."""
        raise NotImplementedError

    def _copies(self) -> Sequence[str]:
        """Return the files and folders that change whenever Litestream has copied something."""
        raise NotImplementedError

    def _compare(self) -> None:
        """Compare what was copied since the last time."""
        raise NotImplementedError

    def _last_copy(self) -> object:
        """Return what changes when something more is copied."""
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
        """Look for a WAL that was torn and restarted since the last look, in what is left of it."""
        with closing(Frames(self._wal, sound.salts)) as frames:
            if frames.was_torn(max(sound.offset, end.offset)):
                self.hole = _TORN

    def _contradicts(
        self, numbers: set[int], size: int, salts: Salts, later: set[Salts], pages: Differing
    ) -> bool:
        """Tell whether pages that were copied from a WAL differ from the database file.

        `later` are the WALs that followed; `numbers` leaves their pages out. If a WAL is missing
        among them, or the WAL is restarted meanwhile, or more was copied than this look knows of,
        the audit is `unsettled` and looks again.
        """
        now = committed_end(self._wal)
        file = kept_open(self.database)
        if now is None or file is None or now.salts == salts:
            return False
        # SQLite adds one to the first salt if the connection that restarts the WAL also writes to
        # it next. Otherwise, and after a WAL was deleted, the salt is random, and no missing WAL
        # can be noticed. A WAL of which nothing was copied is a hole, too.
        restarts = (now.salts[0] - salts[0]) & 0xFFFFFFFF
        if restarts <= _RESTARTS and len({*later, now.salts} - {salts}) != restarts:
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
            if after is None or after.salts != now.salts or self._last_copy() != self._known:
                self.unsettled = True
                return False
            return number not in frames.numbers(now.offset, after.offset)


def is_past(mtime: int, now: int) -> bool:
    """Tell whether each change of a file from now on gives it another time than this one.

    `now` is taken before the file is looked at.
    """
    return now - mtime > (_TICK if mtime % _SECOND else _COARSE)
