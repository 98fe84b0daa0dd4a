"""Executables of a few hundred bytes with true headers, for tests that build many wheels."""

from __future__ import annotations

import struct

MACHINES = {"x86_64": (62, 0x01000007), "arm64": (183, 0x0100000C)}
MODULES = "dep\tgithub.com/kr/fs\tv0.1.0\th1:x=\ndep\tgolang.org/x/sys\tv0.45.0\th1:y=\n"


def executable(platform, *, text="", modules=MODULES, interpreter=False, minos=(12, 0)):
    """An executable for one of our platforms; `text` makes it one of a kind."""
    system, machine = platform.split("-")
    elf, mach_o = MACHINES[machine]
    head = _elf(elf, interpreter) if system == "linux" else _mach_o(mach_o, minos)
    return head + _go_build_info(modules) + text.encode()


def _elf(machine, interpreter):
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    types = [1, 3 if interpreter else 4]
    return header + b"".join(struct.pack("<I", number) + bytes(52) for number in types)


def _mach_o(cpu, minos):
    commands = struct.pack("<II", 0x1B, 24) + bytes(16)  # LC_UUID: passed over
    version = minos[0] << 16 | minos[1] << 8
    commands += struct.pack("<IIIIII", 0x32, 24, 1, version, version, 0)
    return struct.pack("<IIIIIIII", 0xFEEDFACF, cpu, 0, 2, 2, len(commands), 0, 0) + commands


def _go_build_info(modules):
    framed = b"<" * 16 + modules.encode() + b">" * 16
    head = b"\xff Go buildinf:\x08\x02" + bytes(16)
    return head + _go_string(b"go1.99.1") + _go_string(framed)


def _go_string(content):
    length, prefix = len(content), bytearray()
    while length >= 0x80:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + content
