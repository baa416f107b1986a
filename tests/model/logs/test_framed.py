"""The frame of checkpoints and their like: round trips, golden bytes, and every refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.logs.test_line import seal_again
from volfs.errors import DamagedObjectError, UnsupportedFormatError
from volfs.model.logs.framed import CONTENT_LIMIT, Framed, decode_framed, encode_framed
from volfs.model.pack import Codec

MAGIC = b"VOLFSCP1"
HELLO = Framed(MAGIC, Codec.RAW, 5, b"hello")
GOLDEN = "564f4c46534350310500000005000000000000000000000068656c6c6f4447ffb247c2e810"

contents = st.binary(max_size=100)
frames = contents.map(lambda data: Framed(MAGIC, Codec.RAW, len(data), data)) | st.builds(
    lambda data, more: Framed(MAGIC, Codec.ZSTD, len(data) + more, data),
    st.binary(min_size=1, max_size=100),
    st.integers(1, 1000),
)


def test_golden_bytes() -> None:
    assert encode_framed(HELLO).hex() == GOLDEN


@given(frames)
def test_what_goes_in_comes_out(framed: Framed) -> None:
    assert decode_framed(encode_framed(framed), MAGIC, "checkpoint") == framed


@given(frames, st.data())
def test_any_other_byte_is_damage(framed: Framed, data: st.DataObject) -> None:
    whole = encode_framed(framed)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes((whole[at] ^ data.draw(st.integers(1, 255)),)) + whole[at + 1 :]
    longer = whole + data.draw(st.binary(min_size=1, max_size=9))
    for bad in (flipped, whole[:at], longer, seal_again(longer)):
        with pytest.raises(DamagedObjectError, match="checkpoint: "):
            decode_framed(bad, MAGIC, "checkpoint")


def test_one_thing_does_not_pass_for_another() -> None:
    with pytest.raises(DamagedObjectError, match="piece: 37 bytes that are none"):
        decode_framed(encode_framed(HELLO), b"VOLFSPT1", "piece")


def test_later_versions_and_encrypted_ones_are_refused_by_name() -> None:
    whole = encode_framed(HELLO)
    with pytest.raises(UnsupportedFormatError, match="version b'2'"):
        decode_framed(seal_again(whole[:7] + b"2" + whole[8:]), MAGIC, "checkpoint")
    with pytest.raises(UnsupportedFormatError, match="encrypted"):
        decode_framed(seal_again(whole[:18] + b"\x3c" + whole[19:]), MAGIC, "checkpoint")


@pytest.mark.parametrize(("at", "value"), [(16, 2), (16, 1), (17, 1), (20, 1), (8, 6), (12, 4)])
def test_impossible_headers_are_damage(at: int, value: int) -> None:
    whole = encode_framed(HELLO)
    with pytest.raises(DamagedObjectError, match="impossible header"):
        decode_framed(seal_again(whole[:at] + bytes((value,)) + whole[at + 1 :]), MAGIC, "it")


@pytest.mark.parametrize(
    "framed",
    [
        HELLO._replace(raw=6),
        HELLO._replace(codec=Codec.ZSTD),
        HELLO._replace(codec=Codec.BLOCKS),
        Framed(MAGIC, Codec.ZSTD, CONTENT_LIMIT + 1, b"x"),
        Framed(MAGIC, Codec.ZSTD, 5, b""),
    ],
)
def test_what_no_reader_would_accept_is_not_written(framed: Framed) -> None:
    with pytest.raises(ValueError, match="bytes stored for"):
        encode_framed(framed)
