"""The frames of a WAL, or of 0.3's copy of a WAL, as they stand in the file."""

from __future__ import annotations

import os
import struct

from litestream._database.wal import WAL_FRAME_HEADER_SIZE, WAL_HEADER_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from litestream._database.wal import Salts

_LAST = 64
"""Frames that are read from the end of a piece."""


class Frames:
    """The frames of a file that carry given salts; none if the file is missing."""

    def __init__(self, path: str, salts: Salts | None) -> None:
        self.salts = salts
        self._file: int | None = None
        self._page = 0
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        header = os.pread(self._file, WAL_HEADER_SIZE, 0)
        if len(header) == WAL_HEADER_SIZE:
            (self._page,) = struct.unpack(">I", header[8:12])

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def size(self) -> int:
        """Return the size of a frame in bytes."""
        return WAL_FRAME_HEADER_SIZE + self._page

    def end(self) -> int:
        """Return where the last whole frame ends."""
        length = os.fstat(self._file).st_size if self._file is not None else 0
        return WAL_HEADER_SIZE + max(0, length - WAL_HEADER_SIZE) // self.size * self.size

    def head(self, offset: int) -> bytes:
        """Return the header of the frame at an offset; nothing if the frame has other salts."""
        if self._file is None or not self._page or offset < WAL_HEADER_SIZE:
            return b""
        head = os.pread(self._file, WAL_FRAME_HEADER_SIZE, offset)
        if len(head) < WAL_FRAME_HEADER_SIZE or struct.unpack(">II", head[8:16]) != self.salts:
            return b""
        return head

    def leftover(self, end: int) -> bytes:
        """Return the checksum of a transaction behind a place that is whole but not committed.

        Its writer is in COMMIT, or died there. Return nothing if there is no such transaction: the
        frames behind the place are overwritten in part, or belong to a longer transaction.
        """
        first = head = self.head(end)
        if not first or not self._follows(first, end):
            return b""
        offset = end
        while head and head[4:8] == b"\0\0\0\0":
            offset += self.size
            head = self.head(offset)
        return first[16:] if head else b""

    def _follows(self, head: bytes, offset: int) -> bool:
        """Tell whether a frame's checksum continues that of the frame before it."""
        assert self._file is not None
        if offset == WAL_HEADER_SIZE:
            before = os.pread(self._file, WAL_HEADER_SIZE, 0)[24:]
        else:
            before = self.head(offset - self.size)[16:]
        order = "<" if os.pread(self._file, 4, 0) == b"\x37\x7f\x06\x82" else ">"
        page = os.pread(self._file, self._page, offset + WAL_FRAME_HEADER_SIZE)
        if len(before) < 8 or len(page) < self._page:
            return False
        one, two = struct.unpack(">II", before)
        words = struct.unpack(f"{order}{2 + self._page // 4}I", head[:8] + page)
        for even, odd in zip(words[::2], words[1::2], strict=True):
            one = (one + even + two) & 0xFFFFFFFF
            two = (two + odd + one) & 0xFFFFFFFF
        return struct.pack(">II", one, two) == head[16:]

    def is_torn(self, start: int, end: int) -> bool:
        """Tell whether a frame in a part of the file lacks the salts, and so the checksum."""
        return any(not self.head(offset) for offset in range(start, end, self.size))

    def was_torn(self, start: int) -> bool:
        """Tell whether a frame without salts stands before a commit with these salts.

        This reads a WAL that was restarted: its last frames are there until the next WAL reaches
        them.
        """
        torn = False
        if self._file is None or not self._page:
            return torn
        for offset in range(start, self.end(), self.size):
            head = os.pread(self._file, WAL_FRAME_HEADER_SIZE, offset)
            if len(head) < WAL_FRAME_HEADER_SIZE:
                break
            torn = torn or head[8:16] == bytes(8)
            if torn and struct.unpack(">II", head[8:16]) == self.salts and any(head[4:8]):
                return True
        return False

    def numbers(self, start: int, end: int) -> set[int]:
        """Return the numbers of the pages in a part of the file."""
        found = set()
        for offset in range(start, end, self.size):
            head = self.head(offset)
            if not head:
                break
            found.add(int.from_bytes(head[:4], "big"))
        return found

    def commit(self, end: int) -> int:
        """Return the database's size in pages after the commit that ends at an offset, or 0."""
        head = self.head(end - self.size)
        return int.from_bytes(head[4:8], "big") if head else 0

    def last(self, start: int, end: int) -> dict[int, bytes]:
        """Return the newest content of the pages in the last frames of a part of the file.

        Once the WAL is restarted, its frames are written over, each header before its page: a page
        counts if the header is still the same afterwards.
        """
        found: dict[int, bytes] = {}
        offset = end - self.size
        while offset >= start and end - offset <= _LAST * self.size and (head := self.head(offset)):
            number = int.from_bytes(head[:4], "big")
            if number not in found:
                assert self._file is not None
                page = os.pread(self._file, self._page, offset + WAL_FRAME_HEADER_SIZE)
                if self.head(offset) != head:
                    break
                found[number] = page
            offset -= self.size
        return found
