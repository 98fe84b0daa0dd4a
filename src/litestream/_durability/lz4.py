"""The uncompressed length of an LZ4 frame."""

from __future__ import annotations

import struct

from litestream._database.ltx import long_length


def lz4_length(frame: bytes) -> int:
    """Return the number of bytes in an LZ4 frame, uncompressed.

    Raises:
        ValueError: The frame is not a complete LZ4 frame.

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
            literals, at = long_length(data, at)
        at += literals
        total += literals
        if at >= end:  # the last sequence has no match
            break
        at += 2
        match = token & 15
        if match == 15:
            match, at = long_length(data, at)
        total += match + 4
    return total
