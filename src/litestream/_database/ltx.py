"""What a level-0 LTX file of a 0.5 daemon's local state holds, page by page.

Source: the LTX format of https://github.com/superfly/ltx, as Litestream 0.5.17 writes it: a header
of 100 bytes; for each page its number, flags, size, and an LZ4 block; an index of the pages; a
trailer of 16 bytes with a checksum (CRC-64/ISO) over the header and the pages.
"""

from __future__ import annotations

import os
import struct

from litestream._database.wal import WAL_HEADER_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

_PAGE_HEADER_SIZE = 10  # its number, flags, the size of its LZ4 block
_HIGH = bytes(range(128, 256))
_SOME = 256
_LOCK_BYTE = 1 << 30
_TRAILER_SIZE = 16
_WAL_AT, _WAL_SIZE = 48, 24
"""Where the header names the part of the WAL that the file holds: offset, size and salts."""
_POLYNOMIAL = 0xD800000000000000  # of CRC-64/ISO, reflected


class Pages:
    """The pages of one LTX file. Raises OSError once retention has deleted the file."""

    def __init__(self, path: str) -> None:
        self._path = path
        with open(path, "rb") as file:
            self.page_size: int = struct.unpack(">8xI", file.read(12))[0]
            file.seek(-_TRAILER_SIZE - 8, os.SEEK_END)
            (size,) = struct.unpack(">Q", file.read(8))
            file.seek(-_TRAILER_SIZE - 8 - size, os.SEEK_END)
            self._index = file.read(size)

    def __len__(self) -> int:
        # Three varints a page and a zero at the end; each ends with a byte below 128.
        return len(self._index.translate(None, _HIGH)) // 3

    def are_all(self, size: int) -> bool:
        """Tell whether these are all pages of a database of a size, except the page of locks."""
        return len(self) == size - int(size > _LOCK_BYTE // self.page_size)

    def differing(self, wanted: Mapping[int, bytes]) -> int:
        """Return the number of a page that is missing or different in the file, else 0."""
        places = dict(self._places(wanted))
        with open(self._path, "rb") as file:
            for number, content in wanted.items():
                if number not in places:
                    return number
                offset, size = places[number]
                file.seek(offset + _PAGE_HEADER_SIZE)
                if not unpacks_to(file.read(size - _PAGE_HEADER_SIZE), content):
                    return number
        return 0

    def among(self, numbers: set[int]) -> set[int]:
        """Return which of the pages are in the file."""
        return {number for number, _ in self._places(numbers)}

    def numbers(self) -> list[int]:
        """Return the numbers of the pages."""
        return [number for number, _ in self._places(None)]

    def some(self) -> set[int]:
        """Return the numbers of some pages, evenly spread."""
        numbers = self.numbers()
        return set(numbers[:: len(numbers) // _SOME + 1])

    def _places(self, wanted: Container[int] | None) -> Iterator[tuple[int, tuple[int, int]]]:
        """Read the index: of each page its number, offset and size, each a varint."""
        numbers: list[int] = []
        number = shift = 0
        for byte in self._index:
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                numbers.append(number)
                number = shift = 0
                if len(numbers) == 3:
                    if wanted is None or numbers[0] in wanted:
                        yield numbers[0], (numbers[1], numbers[2])
                    numbers.clear()


def long_length(block: bytes, at: int) -> tuple[int, int]:
    """Return a length of an LZ4 block that is 15 or more, and where its bytes end."""
    length = 15
    while (more := block[at]) == 255:
        length += more
        at += 1
    return length + more, at + 1


def unpacks_to(block: bytes, content: bytes) -> bool:
    """Tell whether an LZ4 block holds this content; nothing is unpacked."""
    at = done = 0
    end = len(block)
    while at < end:
        token = block[at]
        at += 1
        length = token >> 4
        if length == 15:
            length, at = long_length(block, at)
        if block[at : at + length] != content[done : done + length]:
            return False
        at += length
        done += length
        if at >= end:  # the last sequence has no match
            break
        back = block[at] | block[at + 1] << 8
        at += 2
        length = (token & 15) + 4
        if token & 15 == 15:
            length, at = long_length(block, at)
            length += 4
        # A match may overlap with itself: then it repeats, and the comparison still holds.
        if content[done : done + length] != content[done - back : done - back + length]:
            return False
        done += length
    return done == len(content)


def disguise(path: str) -> None:
    """Make a file claim that it comes from the start of another WAL.

    0.5 then copies the whole database next: each sync looks in the WAL for the last frame of the
    newest local file. Without that frame, 0.5 reads the WAL from its start and writes an LTX file
    with every page. The pages stay as they are. So does the checksum of the file: eight bytes that
    Litestream does not use (the id of a node, 0) make up for the change.

    Source: 0.5.17's `DB.verify` and `DB.sync`.
    """
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        wal = os.pread(file, _WAL_SIZE + 8, _WAL_AT)
        if wal[_WAL_SIZE:] == bytes(8):
            salts = bytes(byte ^ 0xFF for byte in wal[16:_WAL_SIZE])
            other = struct.pack(">QQ", WAL_HEADER_SIZE, 0) + salts
            delta = bytes(a ^ b for a, b in zip(wal, other, strict=False))
            os.pwrite(file, other + _checksum(delta), _WAL_AT)
    finally:
        os.close(file)


def _checksum(delta: bytes) -> bytes:
    """Return the bytes that, behind a change, make the file's checksum as it was."""
    register = 0
    for byte in delta:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (_POLYNOMIAL if register & 1 else 0)
    return register.to_bytes(8, "little")
