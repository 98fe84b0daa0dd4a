"""Whether 0.3's shadow WAL holds what SQLite has committed."""

from __future__ import annotations

import os
from contextlib import closing, suppress

from litestream._database.audit import WRONG, Audit
from litestream._database.frames import Frames
from litestream._database.wal import (
    WAL_HEADER_SIZE,
    committed_end,
    is_being_restarted,
    wal_salts,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestream._database.wal import Salts


class Audit03(Audit):
    """The audit of 0.3's shadow WAL, a copy of each WAL."""

    _index = 0
    _copied = ("", "")

    def _compare(self) -> None:
        """Look at the newest copies."""
        self.unsettled = self.ahead = False
        self._copied = "", ""
        try:
            with open(os.path.join(self.meta, "generation"), encoding="ascii") as file:
                generation = file.read().strip()
            folder = os.path.join(self.meta, "generations", generation, "wal")
            names = _in_order(folder)
        except (OSError, ValueError):
            return  # a new generation begins
        if generation != self.start:
            self.start, self._index, self.hole = generation, 0, ""
        copies = [os.path.join(folder, name) for name in names]
        self._copied = file.name, folder
        self._known = self._last_copy()
        for number, copy in enumerate(copies):
            index = int(names[number].partition(".")[0], 16)
            if index >= self._index:
                with suppress(FileNotFoundError):
                    self._examine(copy, copies[number + 1 :])
                if self.unsettled:
                    return
                self._index = index

    def _copies(self) -> Sequence[str]:
        """Leave out the folder: 0.3.13 changes the folder's time every second."""
        generation, folder = self._copied
        try:
            return generation, os.path.join(folder, _in_order(folder)[-1])
        except (OSError, IndexError):
            return ()

    def _last_copy(self) -> object:
        with suppress(OSError, IndexError):
            last = os.path.join(self._copied[1], _in_order(self._copied[1])[-1])
            return last, os.stat(last).st_size
        return None

    def newest(self) -> str:
        """Return the file that names the generation."""
        path = os.path.join(self.meta, "generation")
        return path if os.path.exists(path) else ""

    def forget(self) -> None:
        """Let 0.3 begin a new generation, as it does if no generation is named."""
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
            if here and here != there:  # each checksum covers all frames before it, too
                self.hole = WRONG
            elif not (later or self.final) and committed is not None and committed.salts != salts:
                self.unsettled = True  # the end of the old WAL may still be copied
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
            self.hole = WRONG


def _in_order(folder: str) -> list[str]:
    """Return the names of the copies in a folder, the oldest first: only the newest one grows."""
    return sorted(name for name in os.listdir(folder) if name.endswith(".wal"))
