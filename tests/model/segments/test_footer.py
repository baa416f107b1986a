"""The footer of a pack: round trips, golden bytes, and damage, all of which is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from tests.model.segments.packed import make_footer, place_records
from tests.model.test_pack import make_header, make_record
from volfs.errors import DamagedObjectError
from volfs.model.objects import Kind, Oid, compute_oid
from volfs.model.pack import Codec
from volfs.model.segments.footer import (
    PlacedRecord,
    decode_footer,
    encode_footer,
    find_footer_size,
    locate_footer,
    walk_records,
)
from volfs.model.segments.packs_named import (
    NamedPack,
    encode_packs,
    iter_packs,
    name_line,
)

GOLDEN = (
    "564f4c4653465431" "01000000" "00000000"
    "cb36cd20b77e3ada257ec5405e7c4c4f4462b6ac51b3b3c0229fc6c3e8c106e1"
    "5000000000000000" "05000000" "05000000" "fddc625c55e85595" "00" "01" "00" "00"
    "5500000000000000" "01e2144c980c5927"
)  # fmt: skip
"""Of a pack with the chunk ``hello``."""

many_sizes = st.lists(st.integers(0, 100_000), max_size=60)


def test_golden_bytes() -> None:
    data = encode_footer([PlacedRecord(80, make_header(b"hello"))], 85)
    assert data.hex() == GOLDEN
    assert list(decode_footer(data, 85, 1)) == [PlacedRecord(80, make_header(b"hello"))]
    assert locate_footer(data[-16:], 85 + len(data)) == (85, 1)


@given(many_sizes)
def test_a_footer_says_what_is_in_the_pack(sizes: list[int]) -> None:
    records = place_records(sizes)
    footer = make_footer(records)
    assert sorted(footer, key=lambda record: record.offset) == records
    assert all(footer.find(record.oid) == record for record in records)
    assert footer.find(compute_oid(Kind.CHUNK, b"another")) is None
    assert [footer.get_id(n) for n in range(len(footer))] == sorted(r.oid for r in records)
    assert footer[:2] == [footer[n] for n in range(min(2, len(footer)))]
    if records:
        assert footer[-1] == footer[len(footer) - 1]
    with pytest.raises(IndexError):
        footer[len(footer)]


@given(many_sizes, st.data())
def test_each_flipped_bit_and_each_cut_is_found(sizes: list[int], data: st.DataObject) -> None:
    records = place_records(sizes)
    start = records[-1].end if records else 16
    whole = encode_footer(records, start)
    at = data.draw(st.integers(0, len(whole) * 8 - 1))
    flipped = bytearray(whole)
    flipped[at // 8] ^= 1 << at % 8
    cut = data.draw(st.integers(0, len(whole) - 1))
    for wrong in (bytes(flipped), whole[:cut], whole + b"\0", whole[cut:] + whole[:cut]):
        if wrong != whole:
            with pytest.raises(DamagedObjectError, match="footer"):
                decode_footer(wrong, start, len(records))
    with pytest.raises(DamagedObjectError, match="of another pack"):
        decode_footer(whole, start + 1, len(records))


def test_the_end_of_a_pack_leads_to_its_footer() -> None:
    records = place_records([5, 0, 300])
    start = records[-1].end
    data = encode_footer(records, start)
    length = start + len(data)
    assert locate_footer(data[-16:], length) == (start, 3)
    for other in (length + 1, length - 60 * 4, start):
        with pytest.raises(DamagedObjectError, match="has none"):
            locate_footer(data[-16:], other)


def test_no_writer_puts_an_object_twice() -> None:
    records = [*place_records([5, 6]), *place_records([5])]
    with pytest.raises(ValueError, match="two records"):
        encode_footer(records, 1000)


@pytest.mark.parametrize(
    "changed",
    [
        lambda r: PlacedRecord(79, r.header),
        lambda r: PlacedRecord(81, r.header),
        lambda r: r._replace(header=r.header._replace(raw=4)),
        lambda r: r._replace(header=r.header._replace(kind=9)),
        lambda r: r._replace(header=r.header._replace(codec=Codec.BLOCKS)),
    ],
    ids=["before the records", "behind them", "length", "kind", "blocks"],
)
def test_a_record_that_cannot_be_there_is_damage(changed: object) -> None:
    """Whoever wrote it, and although the sum is right."""
    (record,) = place_records([5])
    data = encode_footer([changed(record)], 85)  # type: ignore[operator]
    with pytest.raises(DamagedObjectError, match=record.oid.hex()):
        list(decode_footer(data, 85, 1))


def test_footers_that_no_writer_makes_are_damage() -> None:
    records = place_records([5, 6])
    whole = encode_footer(records, records[-1].end)
    first, second = whole[16:76], whole[76:136]
    body = whole[:16] + second + first + whole[136:-8]

    swapped = body + xxh3_64_intdigest(body).to_bytes(8, "little")
    with pytest.raises(DamagedObjectError, match="order"):
        decode_footer(swapped, records[-1].end, 2)


def test_records_of_a_line_are_found_without_a_footer() -> None:
    chunks = [b"", b"hello", b"x" * 1000]
    data = b"the body" * 10 + b"".join(map(make_record, chunks)) + b"checksum"
    footer = walk_records(data, 80, 3)
    for chunk in chunks:
        found = footer.find(compute_oid(Kind.CHUNK, chunk))
        assert found is not None
        assert data[found.offset : found.end] == chunk
    assert list(walk_records(data, 80, 0)) == []
    for wrong, count in ((data, 4), (data[:-20], 3), (b"?" + data, 3)):
        with pytest.raises(DamagedObjectError):
            walk_records(wrong, 80, count)
    with pytest.raises(DamagedObjectError, match="two records"):
        walk_records(bytes(80) + make_record(b"a") * 2, 80, 2)


# --- names of packs -----------------------------------------------------------


def test_a_line_with_records_counts_as_a_pack() -> None:
    line = NamedPack(name_line("vo-0123456789012345678901", 255), 100, 80, 1)
    assert line.name == "vo-0123456789012345678901/00000000000000ff"
    assert line.is_line
    assert not NamedPack("a" * 26, 100, 80, 1).is_line


def test_a_table_of_packs_comes_back_or_is_damage() -> None:
    packs = [NamedPack("a" * n, 100 + n, n, n) for n in (1, 26, 64)]
    data = encode_packs(packs)
    assert list(iter_packs(data, 3)) == packs
    for wrong, count in ((data, 2), (data, 4), (data[:-1], 3), (data[1:], 3)):
        with pytest.raises(DamagedObjectError, match="packs"):
            list(iter_packs(wrong, count))
    for name in ("", "a" * 65):
        with pytest.raises(ValueError, match="name"):
            encode_packs([NamedPack(name, 1, 1, 1)])


def test_the_size_is_known_before() -> None:
    records = place_records([1] * 7)
    assert len(encode_footer(records, records[-1].end)) == find_footer_size(7)
    assert Oid(records[0].oid) == records[0].header.oid
