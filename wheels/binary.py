"""What an executable says of itself: its format, machine, minimum system and Go modules.

Read from the headers, in pure Python, so that one Linux machine can judge them all: a new upstream
toolchain that wants a newer system fails our build, and no user's install.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheels.pins import WorkshopError

if TYPE_CHECKING:
    from pathlib import Path

ELF_MACHINES = {62: "x86_64", 183: "arm64"}
ELF_INTERPRETER = 3  # a program header of this type names the dynamic linker
MACH_O_MACHINES = {0x01000007: "x86_64", 0x0100000C: "arm64"}
LC_VERSION_MIN_MACOSX, LC_BUILD_VERSION = 0x24, 0x32

GO_BUILD_INFO = b"\xff Go buildinf:"
GO_INLINE_STRINGS = 2  # the flag of Go 1.18 and newer
GO_FRAME = 16  # bytes of a marker before and after the list of modules
GLIBC = b"GLIBC_TUNABLES"


@dataclass(frozen=True)
class Module:
    """A Go module inside an executable."""

    path: str
    version: str


@dataclass(frozen=True)
class Facts:
    """What was read."""

    platform: str  # as in upstream.toml: linux-x86_64, macos-arm64, …
    tag: str  # the platform tag of a wheel that may carry it
    go: str  # the version of Go's standard library inside
    modules: tuple[Module, ...]
    has_glibc: bool  # linked in statically


def inspect(file: Path) -> Facts:
    """Read an executable's headers; refuse what no wheel of ours may carry."""
    content = file.read_bytes()
    try:
        if content[:4] == b"\x7fELF":
            platform, tag = _elf(content)
        elif content[:4] == b"\xcf\xfa\xed\xfe":
            platform, tag = _mach_o(content)
        else:
            raise WorkshopError("it is neither 64-bit ELF nor 64-bit Mach-O")
        go, modules = _go_build_info(content)
    except WorkshopError as error:
        raise WorkshopError(f"{file} cannot go into a wheel: {error}") from None
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise WorkshopError(f"{file} cannot go into a wheel: cut or garbled ({error})") from error
    return Facts(platform, tag, go, modules, GLIBC in content)


def _elf(content: bytes) -> tuple[str, str]:
    if content[4:6] != b"\x02\x01":
        raise WorkshopError("it is ELF, but not 64-bit little-endian")
    machine = _machine(ELF_MACHINES, struct.unpack_from("<H", content, 18)[0])
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    types = [struct.unpack_from("<I", content, table + size * i)[0] for i in range(count)]
    if ELF_INTERPRETER in types:
        raise WorkshopError(
            "it is linked dynamically, so it needs a libc of its own kind and age; "
            "only a static executable runs on glibc and musl alike"
        )
    arch = {"x86_64": "x86_64", "arm64": "aarch64"}[machine]
    tags = f"manylinux_2_17_{arch}", f"manylinux2014_{arch}", f"musllinux_1_1_{arch}"
    return f"linux-{machine}", ".".join(tags)


def _mach_o(content: bytes) -> tuple[str, str]:
    cpu, _, _, commands = struct.unpack_from("<IIII", content, 4)
    machine = _machine(MACH_O_MACHINES, cpu)
    position = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<II", content, position)
        if command == LC_BUILD_VERSION:
            (minimum,) = struct.unpack_from("<I", content, position + 12)
            break
        if command == LC_VERSION_MIN_MACOSX:
            (minimum,) = struct.unpack_from("<I", content, position + 8)
            break
        position += size
    else:
        raise WorkshopError("it does not name the oldest macOS it runs on")
    major, minor = minimum >> 16, minimum >> 8 & 0xFF
    if major >= 11:  # since then pip knows whole versions only: 12.3 needs a macOS 13
        major, minor = major + (minor > 0), 0
    return f"macos-{machine}", f"macosx_{major}_{minor}_{machine}"


def _machine(names: dict[int, str], number: int) -> str:
    if number not in names:
        raise WorkshopError(f"it is for machine {number:#x}, not {' or '.join(names.values())}")
    return names[number]


def _go_build_info(content: bytes) -> tuple[str, tuple[Module, ...]]:
    """Read what `go version -m` prints. Source: Go's debug/buildinfo, the format since 1.18."""
    start = content.find(GO_BUILD_INFO)
    if start < 0 or not content[start + 15] & GO_INLINE_STRINGS:
        raise WorkshopError("it carries no list of the Go modules in it")
    version, position = _go_string(content, start + 32)
    framed, _ = _go_string(content, position)
    modules: list[Module] = []
    for line in framed[GO_FRAME:-GO_FRAME].decode().splitlines():
        kind, *values = line.split("\t")
        if kind == "=>":  # the module before was replaced by this one
            modules[-1] = Module(values[0], values[1])
        elif kind == "dep":
            modules.append(Module(values[0], values[1]))
    return version.decode().removeprefix("go"), tuple(modules)


def _go_string(content: bytes, position: int) -> tuple[bytes, int]:
    length, shift = 0, 0
    while True:
        byte = content[position]
        position += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    end = position + length
    if end > len(content):
        raise IndexError("the list of Go modules goes past its end")
    return content[position:end], end
