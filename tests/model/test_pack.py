"""The bytes of packs: round trips, golden bytes, limits, and torn tails against damage."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest, xxh32_intdigest

from volfs.errors import DamagedObjectError, UnsupportedFormatError
from volfs.model.objects import Kind, compute_oid
from volfs.model.pack import (
    PACK_HEADER_SIZE,
    RAW_LIMIT,
    RECORD_HEADER_SIZE,
    Codec,
    Gap,
    PackKind,
    Record,
    RecordHeader,
    decode_pack_header,
    decode_record_header,
    encode_pack_header,
    encode_record_header,
    iter_records,
    pack_kind,
)

GOLDEN_PACK_HEADER = "564f4c4653504b320100000000000000"
GOLDEN_RECORD_HEADER = (
    "76726563" "01" "00" "0000" "05000000" "05000000" "fddc625c55e85595"
    "cb36cd20b77e3ada257ec5405e7c4c4f4462b6ac51b3b3c0229fc6c3e8c106e1"
    "b5abd86d" "00000000"
)  # fmt: skip
"""A chunk of the five bytes ``hello``."""


def make_header(data: bytes, kind: Kind = Kind.CHUNK) -> RecordHeader:
    checksum = xxh3_64_intdigest(data)
    return RecordHeader(kind, Codec.RAW, len(data), len(data), checksum, compute_oid(kind, data))


def make_record(data: bytes, kind: Kind = Kind.CHUNK) -> bytes:
    return encode_record_header(make_header(data, kind)) + data


def scan(pack: bytes) -> list[Record | Gap]:
    return list(iter_records(lambda offset, length: pack[offset : offset + length], len(pack)))


def make_pack(*objects: bytes) -> bytearray:
    return bytearray(encode_pack_header(PackKind.DATA) + b"".join(map(make_record, objects)))


headers = st.builds(
    lambda kind, raw, saved, checksum, oid: RecordHeader(
        kind,
        Codec.ZSTD if 0 < saved < raw else Codec.RAW,
        raw,
        raw - saved if 0 < saved < raw else raw,
        checksum,
        oid,
    ),
    st.sampled_from(Kind),
    st.integers(0, RAW_LIMIT),
    st.integers(0, RAW_LIMIT),
    st.integers(0, (1 << 64) - 1),
    st.binary(min_size=32, max_size=32),
)


@given(headers)
def test_record_header_round_trip(header: RecordHeader) -> None:
    encoded = encode_record_header(header)
    assert len(encoded) == RECORD_HEADER_SIZE
    assert decode_record_header(encoded) == header


@pytest.mark.parametrize("kind", PackKind)
def test_pack_header_round_trip(kind: PackKind) -> None:
    assert decode_pack_header(encode_pack_header(kind)) == (2, kind)


def test_golden_bytes() -> None:
    assert encode_pack_header(PackKind.DATA).hex() == GOLDEN_PACK_HEADER
    assert encode_record_header(make_header(b"hello")).hex() == GOLDEN_RECORD_HEADER


def test_only_chunks_are_data() -> None:
    assert [kind for kind in Kind if pack_kind(kind) is PackKind.DATA] == [Kind.CHUNK]


def test_newer_pack_is_refused_as_such() -> None:
    with pytest.raises(UnsupportedFormatError):
        decode_pack_header(b"VOLFSPK3\1" + bytes(7))


@pytest.mark.parametrize(
    "data", [b"", b"VOLFSPK1", b"VOLFSPK1\x03" + bytes(7), b"VOLFSPK1\x01" + b"\1" * 7, bytes(16)]
)
def test_other_pack_headers_are_damage(data: bytes) -> None:
    with pytest.raises(DamagedObjectError):
        decode_pack_header(data)


@given(headers, st.integers(0, RECORD_HEADER_SIZE * 8 - 1))
def test_every_flipped_bit_of_a_header_is_found(header: RecordHeader, bit: int) -> None:
    data = bytearray(encode_record_header(header))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedObjectError):
        decode_record_header(data)


@pytest.mark.parametrize(
    ("codec", "raw", "stored"),
    [
        (Codec.RAW, RAW_LIMIT + 1, RAW_LIMIT + 1),
        (Codec.RAW, 10, 9),
        (Codec.RAW, 10, 11),
        (Codec.ZSTD, 10, 10),
        (Codec.ZSTD, 10, 0),
        (Codec.ZSTD, RAW_LIMIT + 1, 5),
        (Codec.BLOCKS, 10, 9),
    ],
)
def test_lengths_out_of_limits(codec: Codec, raw: int, stored: int) -> None:
    header = RecordHeader(Kind.CHUNK, codec, raw, stored, 0, compute_oid(Kind.CHUNK, b""))
    with pytest.raises(ValueError, match="record header"):
        encode_record_header(header)
    with pytest.raises(DamagedObjectError):
        decode_record_header(_forge(codec=codec, raw=raw, stored=stored))


@pytest.mark.parametrize(
    "change", [{"kind": 0}, {"kind": 5}, {"codec": 3}, {"reserved": 1}, {"reserved": 256}]
)
def test_unknown_kinds_and_flags_are_refused(change: dict[str, int]) -> None:
    decode_record_header(_forge())
    with pytest.raises(DamagedObjectError):
        decode_record_header(_forge(**change))


def _forge(
    kind: int = 1, codec: int = 0, reserved: int = 0, raw: int = 4, stored: int = 4
) -> bytes:
    """A header of any values whose checksum is right."""
    data = b"vrec" + bytes((kind, codec)) + reserved.to_bytes(2, "little")
    data += raw.to_bytes(4, "little") + stored.to_bytes(4, "little") + bytes(8 + 32)
    return data + xxh32_intdigest(data).to_bytes(4, "little") + bytes(4)


# --- the scan ---------------------------------------------------------------


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_scan_finds_every_record(objects: list[bytes]) -> None:
    found = scan(bytes(make_pack(*objects)))
    assert [bytes(item.stored) for item in found if isinstance(item, Record)] == objects
    assert not any(isinstance(item, Gap) for item in found)


@given(st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=5), st.data())
def test_a_cut_pack_has_a_torn_tail_and_no_damage(
    objects: list[bytes], data: st.DataObject
) -> None:
    pack = bytes(make_pack(*objects))
    cut = data.draw(st.integers(0, len(pack)))
    found = scan(pack[:cut])
    gaps = [item for item in found if isinstance(item, Gap)]
    assert all(gap.torn for gap in gaps)
    records = [item.stored for item in found if isinstance(item, Record)]
    assert records == objects[: len(records)]
    assert len(records) == len(objects) or gaps or _ends_a_record(objects, cut)


def _ends_a_record(objects: list[bytes], cut: int) -> bool:
    ends = [len(make_pack(*objects[:n])) for n in range(len(objects) + 1)]
    return cut in ends or cut <= PACK_HEADER_SIZE


@given(st.data())
def test_a_flipped_byte_before_a_record_is_damage(data: st.DataObject) -> None:
    pack = make_pack(b"first" * 20, b"second" * 20, b"third" * 20)
    last = len(pack) - len(make_record(b"third" * 20))
    at = data.draw(st.integers(PACK_HEADER_SIZE, last - 1))
    pack[at] ^= 0x40
    found = scan(bytes(pack))
    gaps = [item for item in found if isinstance(item, Gap)]
    assert len(gaps) == 1
    assert not gaps[0].torn
    assert gaps[0].offset <= at < gaps[0].offset + gaps[0].length
    assert [item.stored for item in found if isinstance(item, Record)][-1] == b"third" * 20


def test_a_damaged_payload_names_its_object() -> None:
    pack = make_pack(b"one", b"two")
    pack[PACK_HEADER_SIZE + RECORD_HEADER_SIZE] ^= 1
    gap = scan(bytes(pack))[0]
    assert isinstance(gap, Gap)
    assert gap.oid == compute_oid(Kind.CHUNK, b"one")


def test_damage_in_the_last_record_looks_torn() -> None:
    pack = make_pack(b"one", b"two")
    pack[-1] ^= 1
    assert [item.torn for item in scan(bytes(pack)) if isinstance(item, Gap)] == [True]


@pytest.mark.parametrize("size", [1, 63, 64, 1000, (1 << 20) - 2, (1 << 20) - 1, 1 << 20, 3 << 20])
def test_scan_resynchronises_after_foreign_bytes_of_any_length(size: int) -> None:
    foreign = random.Random(size).randbytes(size)
    pack = make_pack(b"one") + foreign + make_record(b"two")
    found = scan(bytes(pack))
    assert [type(item) for item in found] == [Record, Gap, Record]
    assert found[1].length == size  # type: ignore[union-attr]


def test_scan_of_nothing_but_foreign_bytes_ends() -> None:
    found = scan(encode_pack_header(PackKind.META) + b"vrec" * 1000)
    assert len(found) == 1
    assert isinstance(found[0], Gap)
    assert found[0].torn
