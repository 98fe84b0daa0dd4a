"""What the headers of executables say: the real eight, and broken ones."""

from __future__ import annotations

import pytest
from wheels import binary, notices, pins

from tests.fake_executables import executable

LINUX = "manylinux_2_17_{0}.manylinux2014_{0}.musllinux_1_1_{0}"
TAGS = {
    ("0.3", "linux-x86_64"): LINUX.format("x86_64"),
    ("0.3", "linux-arm64"): LINUX.format("aarch64"),
    ("0.3", "macos-x86_64"): "macosx_11_0_x86_64",
    ("0.3", "macos-arm64"): "macosx_11_0_arm64",
    ("0.5", "linux-x86_64"): LINUX.format("x86_64"),
    ("0.5", "linux-arm64"): LINUX.format("aarch64"),
    ("0.5", "macos-x86_64"): "macosx_12_0_x86_64",
    ("0.5", "macos-arm64"): "macosx_12_0_arm64",
}


@pytest.fixture
def inspect(tmp_path):
    def inspected(content):
        file = tmp_path / "litestream"
        file.write_bytes(content)
        return binary.inspect(file)

    return inspected


@pytest.mark.parametrize("pin", pins.read().all, ids=str)
def test_the_real_executables_are_what_their_pins_say(pin):
    facts = binary.inspect(pin.path)

    assert pin.platform == facts.platform
    assert TAGS[pin.series, pin.platform] == facts.tag
    assert (pin.series == "0.3" and "linux" in pin.platform) == facts.has_glibc
    expected = {"0.3": ("1.21", 45), "0.5": ("1.25", 97 + ("macos" in pin.platform))}[pin.series]
    assert expected == (facts.go.rpartition(".")[0], len(facts.modules))
    sqlite = {"0.3": "github.com/mattn/go-sqlite3", "0.5": "modernc.org/sqlite"}[pin.series]
    assert sqlite in {module.path for module in facts.modules}


@pytest.mark.parametrize("platform", pins.NATIVE.values())
def test_fake_executables_are_read_like_real_ones(inspect, platform):
    facts = inspect(executable(platform))

    assert TAGS["0.5", platform] == facts.tag
    assert "1.99.1" == facts.go
    assert (
        binary.Module("github.com/kr/fs", "v0.1.0"),
        binary.Module("golang.org/x/sys", "v0.45.0"),
    ) == facts.modules


@pytest.mark.parametrize(
    ("minos", "tag"),
    [((10, 9), "10_9"), ((11, 0), "11_0"), ((12, 3), "13_0"), ((26, 0), "26_0")],
)
def test_a_minimum_between_two_systems_asks_for_the_newer(inspect, minos, tag):
    assert f"macosx_{tag}_arm64" == inspect(executable("macos-arm64", minos=minos)).tag


def test_a_replaced_module_counts_as_what_replaced_it(inspect):
    modules = "dep\texample.org/a\tv1.0.0\n=>\texample.org/b\tv2.0.0\th1:x=\n"

    facts = inspect(executable("linux-arm64", modules=modules))
    assert (binary.Module("example.org/b", "v2.0.0"),) == facts.modules


ELF = executable("linux-x86_64")
REFUSED = {
    "dynamic": (executable("linux-x86_64", interpreter=True), "linked dynamically"),
    "32 bit": (ELF[:4] + b"\x01" + ELF[5:], "not 64-bit little-endian"),
    "riscv": (ELF[:18] + b"\xf3\0" + ELF[20:], "for machine 0xf3, not x86_64 or arm64"),
    "Windows": (b"MZ" + ELF, "neither 64-bit ELF nor 64-bit Mach-O"),
    "nothing": (b"", "neither 64-bit ELF nor 64-bit Mach-O"),
    "C": (ELF.replace(b"\xff Go buildinf:", b"\xff No buildinf:"), "no list of the Go modules"),
    "no minimum": (
        executable("macos-arm64").replace(b"\x32\0\0\0\x18", b"\x1b\0\0\0\x18"),
        "does not name the oldest macOS",
    ),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_no_wheel_may_carry_is_refused(inspect, content, reason):
    with pytest.raises(pins.WorkshopError, match=reason):
        inspect(content)


@pytest.mark.parametrize("platform", ["linux-arm64", "macos-x86_64"])
def test_a_cut_executable_is_an_error_wherever_it_was_cut(inspect, platform):
    whole = executable(platform)
    for length in range(len(whole)):
        with pytest.raises(pins.WorkshopError, match="cannot go into a wheel"):
            inspect(whole[:length])


def test_every_licence_of_the_real_executables_is_known():
    for pin in pins.read().all:
        inside = notices.components(pin, binary.inspect(pin.path))
        text = notices.text(inside, pins.VENDOR / "licenses")
        for component in inside:
            assert f"\n{component.name} {component.version}".rstrip() + "\n    " in text
        for name in notices.identifiers(inside):
            assert 1 == text.count(f"\n{'=' * 80}\n{name}\n{'=' * 80}\n")


def test_a_module_of_unknown_licence_is_an_error(inspect):
    facts = inspect(executable("linux-arm64", modules="dep\texample.org/new\tv1.0.0\n"))

    with pytest.raises(pins.WorkshopError, match=r"example\.org/new is not known.*go-modules"):
        notices.components(pins.read().all[0], facts)


def test_a_missing_licence_text_is_an_error(inspect, tmp_path):
    inside = [notices.Component("x", "1", "Beerware", (), "", "pkg:x")]

    with pytest.raises(pins.WorkshopError, match=r"Beerware\.txt is missing"):
        notices.text(inside, tmp_path)
