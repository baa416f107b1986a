"""Packs, footers and segments for the tests of their bytes."""

from __future__ import annotations

import random
from collections.abc import Iterable

from hypothesis import strategies as st

from volfs.model.objects import Kind, Oid, compute_oid
from volfs.model.pack import RECORD_HEADER_SIZE, Codec, RecordHeader
from volfs.model.segments.footer import (
    Footer,
    PlacedRecord,
    decode_footer,
    encode_footer,
    find_footer_size,
)
from volfs.model.segments.packs_named import NamedPack
from volfs.model.segments.segment import SegmentDirectory

CHUNK = Kind.CHUNK


def place_records(sizes: Iterable[int], seed: int = 0) -> list[PlacedRecord]:
    """Records of these stored lengths that lie one after the other, as in a pack."""
    records, at = [], 16
    for number, size in enumerate(sizes):
        oid = compute_oid(CHUNK, b"%d %d" % (seed, number))
        header = RecordHeader(CHUNK, Codec.RAW, size, size, number * 7, oid)
        records.append(PlacedRecord(at + RECORD_HEADER_SIZE, header))
        at = records[-1].end
    return records


def make_footer(records: list[PlacedRecord]) -> Footer:
    start = records[-1].end if records else 16
    return decode_footer(encode_footer(records, start), start, len(records))


def name_pack(footer: Footer, seed: int) -> NamedPack:
    name = f"{random.Random(seed).getrandbits(100):a<26x}"[:26]
    return NamedPack(name, footer.start + find_footer_size(len(footer)), footer.start, len(footer))


def place(oid: Oid, offset: int) -> PlacedRecord:
    """A record of one byte."""
    return PlacedRecord(offset, RecordHeader(CHUNK, Codec.RAW, 1, 1, 0, oid))


def look_up(directory: SegmentDirectory, data: bytes, oid: Oid) -> tuple[NamedPack, int] | None:
    """The pack and offset of an object, read as a client reads them: one block."""
    number = directory.find_block(oid)
    if number is None:
        return None
    start, length = directory.locate_block(number)
    entry = directory.decode_block(number, data[start : start + length]).find(oid)
    return None if entry is None else (directory.get_pack(entry), entry.offset)


ids = st.binary(min_size=32, max_size=32).map(Oid)
