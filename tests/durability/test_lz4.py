"""The length of what an LZ4 frame holds."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litestream._durability.lz4 import lz4_length


@pytest.mark.parametrize("content", [b"", b"\x04\x22\x4d\x18", b"\x04\x22\x4d\x18" + b"\xff" * 60])
def test_a_frame_that_is_cut_off_is_no_length(content: bytes) -> None:
    with pytest.raises(ValueError, match="LZ4"):
        lz4_length(content)


@given(st.binary(max_size=200))
def test_lz4_length_never_hangs(content: bytes) -> None:
    with suppress(ValueError):
        lz4_length(b"\x04\x22\x4d\x18" + content)
