"""Index segments: look-up equals a dict, a merge equals the union, and damage is found."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.segments.packed import (
    ids,
    look_up,
    make_footer,
    name_pack,
    place,
    place_records,
)
from tests.model.test_pack import make_header
from volfs.errors import DamagedObjectError
from volfs.model.objects import Oid
from volfs.model.segments.footer import PlacedRecord, decode_footer, encode_footer
from volfs.model.segments.id_filter import FilterBuilder, IdFilter
from volfs.model.segments.merging_segments import (
    SMALL,
    TIER,
    MergedSource,
    choose_tier,
    merge_segments,
)
from volfs.model.segments.packs_named import NamedPack
from volfs.model.segments.segment import (
    BLOCK_ENTRIES,
    SegmentDirectory,
    decode_segment,
    iter_entries,
)
from volfs.model.segments.segment_writer import SegmentWriter, Source, build_segment

GOLDEN = (
    "564f4c46535347310000000000000000"
    "cb36cd20b77e3ada257ec5405e7c4c4f4462b6ac51b3b3c0229fc6c3e8c106e1" "000000005000000005000000"
    "abe2b73b21559cd9"
    "564f4c4653494631" "0100000000000000" "00000000" "21000000"
    "0100000000000000000000000000000000000000000000000000000000000000ca"
    "564f4c4653534431" "7d00000000000000" "0100000000000000" "4400000000000000"
    "293f1e03f4b6b72e" "01000000" "00000000"
    "cb36cd20b77e3ada257ec5405e7c4c4f4462b6ac51b3b3c0229fc6c3e8c106e1"
    "cb36cd20b77e3ada257ec5405e7c4c4f4462b6ac51b3b3c0229fc6c3e8c106e1"
    "1a" "b100000000000000" "5500000000000000" "01000000"
    "6161616161616161616161616161616161616161616161616161"
    "b4fb13711775b804"
)  # fmt: skip


class Written:
    """A segment in memory."""

    def __init__(self, *sources: Source) -> None:
        self.data = bytearray()
        self.start = build_segment(self.data.extend, sources).finish()
        self.directory = decode_segment(self.data, self.start)

    @classmethod
    def merge(cls, *segments: Written, gone: frozenset[str] = frozenset()) -> Written:
        merged = cls.__new__(cls)
        merged.data = bytearray()
        sources = [MergedSource(s.directory, iter_entries(s.directory, s.data)) for s in segments]
        writer = merge_segments(merged.data.extend, sources, lambda pack: pack.name not in gone)
        merged.start = writer.finish()
        merged.directory = decode_segment(merged.data, merged.start)
        return merged

    def find(self, oid: Oid) -> tuple[NamedPack, int] | None:
        return look_up(self.directory, bytes(self.data), oid)

    def to_dict(self) -> dict[Oid, tuple[NamedPack, int]]:
        return {
            entry.oid: (self.directory.get_pack(entry), entry.offset)
            for entry in iter_entries(self.directory, self.data)
        }


def make_sources(sizes: list[int], seed: int = 0) -> list[Source]:
    """Packs with this many records each."""
    found = []
    for number, size in enumerate(sizes):
        footer = make_footer(place_records([1] * size, seed=seed * 1000 + number))
        found.append((name_pack(footer, seed * 1000 + number), footer))
    return found


def to_dict(sources: list[Source]) -> dict[Oid, tuple[NamedPack, int]]:
    return {record.oid: (pack, record.offset) for pack, footer in sources for record in footer}


def test_golden_bytes() -> None:
    data = encode_footer([PlacedRecord(80, make_header(b"hello"))], 85)
    pack = NamedPack("a" * 26, 85 + len(data), 85, 1)
    written = Written((pack, decode_footer(data, 85, 1)))
    assert written.data.hex() == GOLDEN
    assert written.find(make_header(b"hello").oid) == (pack, 80)


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 1024, 5000])
def test_a_look_up_is_that_of_a_dict(count: int) -> None:
    sources = make_sources([count // 2, count - count // 2])
    written = Written(*sources)
    known = to_dict(sources)
    assert written.directory.count == len(known) == count
    assert written.to_dict() == known
    random_ids = [Oid(random.Random(n).randbytes(32)) for n in range(500)]
    for oid in [*known, *random_ids, Oid(bytes(32)), Oid(b"\xff" * 32)]:
        assert written.find(oid) == known.get(oid)
    passed = written.directory.decode_filter(written.data[written.directory.filter : written.start])
    assert all(map(passed.may_have, known))


@given(st.lists(st.dictionaries(ids, st.integers(80, 1000), max_size=40), max_size=5), st.data())
def test_a_merge_is_the_union_in_which_the_latest_counts(
    maps: list[dict[Oid, int]], data: st.DataObject
) -> None:
    """Ids of hypothesis are often alike, so that the same ones come in several segments."""
    segments, known, packs = [], {}, []
    for number, places in enumerate(maps):
        footer = make_footer([])
        pack = name_pack(footer, number)._replace(length=10_000, footer=5000, records=len(places))
        whole = encode_footer([place(oid, at) for oid, at in places.items()], 5000)
        segments.append(Written((pack, decode_footer(whole, 5000, len(places)))))
        packs.append(pack)
    gone = data.draw(st.sets(st.sampled_from(packs))) if packs else set()
    for pack, places in zip(packs, maps, strict=True):
        if pack not in gone:
            known |= {oid: (pack, at) for oid, at in places.items()}
    merged = Written.merge(*segments, gone=frozenset(pack.name for pack in gone))
    assert merged.to_dict() == known
    cut = data.draw(st.integers(0, len(segments)))
    kept = [s for s, pack in zip(segments, packs, strict=True) if pack not in gone]
    twice = Written.merge(Written.merge(*kept[:cut]), Written.merge(*kept[cut:]))
    assert twice.to_dict() == known


@given(st.integers(0, 1300), st.data())
@settings(deadline=None, max_examples=60)
def test_each_flipped_bit_and_each_cut_is_found(count: int, data: st.DataObject) -> None:
    written = Written(*make_sources([count]))
    whole = bytes(written.data)
    at = data.draw(st.integers(0, len(whole) * 8 - 1))
    flipped = bytearray(whole)
    flipped[at // 8] ^= 1 << at % 8
    cut = data.draw(st.integers(0, len(whole) - 1))
    for wrong in (bytes(flipped), whole[:cut], whole + b"\0"):
        with pytest.raises(DamagedObjectError, match=r"segment|packs"):
            decode_segment(wrong, written.start)


def test_parts_of_another_place_are_damage() -> None:
    """A store that mixes objects up, or a reader that does."""
    written = Written(*make_sources([3 * BLOCK_ENTRIES]))
    directory = written.directory
    start, length = directory.locate_block(1)
    block = written.data[start : start + length]
    with pytest.raises(DamagedObjectError, match="checksum of block 2"):
        directory.decode_block(2, block)
    with pytest.raises(DamagedObjectError, match="cut short"):
        directory.decode_block(1, block[:-1])
    with pytest.raises(DamagedObjectError, match="directory of another one"):
        SegmentDirectory(written.data[written.start :], written.start + 1)
    with pytest.raises(DamagedObjectError, match="filter"):
        directory.decode_filter(written.data[directory.filter : written.start - 1])


def test_a_writer_refuses_what_is_not_in_order() -> None:
    pack = NamedPack("a" * 26, 100, 90, 1)
    writer = SegmentWriter(bytearray().extend, 2)
    writer.add(Oid(b"b" * 32), pack, 80, 1)
    for oid in (b"b" * 32, b"a" * 32):
        with pytest.raises(ValueError, match="order"):
            writer.add(Oid(oid), pack, 80, 1)


def test_a_merge_needs_memory_for_blocks_only() -> None:
    """What is merged streams: blocks in, blocks out, and 9 bits an id."""
    segments = [Written(*make_sources([6000], seed)) for seed in (1, 2)]
    sink = bytearray(1 << 20)
    tracemalloc.start()
    sources = [MergedSource(s.directory, iter_entries(s.directory, s.data)) for s in segments]

    def write(data: bytes) -> None:
        sink[: len(data)] = data

    writer = merge_segments(write, sources)
    writer.finish()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert writer.count == 12_000
    assert peak < writer.length / 3


# --- the filter ---------------------------------------------------------------


@given(st.sets(st.binary(min_size=32, max_size=32), max_size=300), st.integers(0, 600))
def test_no_id_of_the_segment_is_denied(oids: set[bytes], slots: int) -> None:
    """However the ids are spread, and whatever was guessed of their number."""
    builder = FilterBuilder(slots)
    for oid in sorted(oids):
        builder.add(oid)
    passed = IdFilter(builder.finish())
    assert all(passed.may_have(Oid(oid)) for oid in oids)


@pytest.mark.parametrize("count", [1, 100, 20_000])
def test_at_most_one_of_a_hundred_others_passes(count: int) -> None:
    source = random.Random(count)
    builder = FilterBuilder(count)
    for oid in sorted(source.randbytes(32) for _ in range(count)):
        builder.add(oid)
    data = builder.finish()
    passed = IdFilter(data)
    others = 20_000
    assert sum(passed.may_have(Oid(source.randbytes(32))) for _ in range(others)) <= others // 100
    if count > 10_000:
        assert len(data) * 8 <= 9.15 * count


def test_a_filter_that_is_cut_is_damage() -> None:
    builder = FilterBuilder(1000)
    data = builder.finish()
    for cut in range(0, len(data), 7):
        with pytest.raises(DamagedObjectError, match="filter"):
            IdFilter(data[:cut])
    damaged = bytearray(data)
    damaged[16:20] = (999).to_bytes(4, "little")
    with pytest.raises(DamagedObjectError, match="page"):
        IdFilter(bytes(damaged)).may_have(Oid(bytes(32)))


# --- tiers ----------------------------------------------------------------------


@given(st.lists(st.integers(SMALL, 300 * SMALL), min_size=200, max_size=600))
@settings(max_examples=15, deadline=None)
def test_tiers_bound_the_segments_and_the_work(counts: list[int]) -> None:
    segments: list[int] = []
    written = 0
    for count in counts:
        segments.append(count)
        written += count
        while chosen := choose_tier(segments):
            merged = sum(segments[-chosen:])
            segments[-chosen:] = [merged]
            written += merged
    tiers = len(str(sum(counts) // SMALL))  # log 8 is about log 10
    assert len(segments) <= TIER * (tiers + 1)
    assert written <= sum(counts) * (tiers + 3)


def test_no_tier_is_chosen_before_there_are_eight() -> None:
    large = 5 * SMALL
    assert choose_tier([]) == choose_tier([large] * 7) == choose_tier([100 * SMALL, large] * 3) == 0
    assert choose_tier([large] * 8) == 8
    assert choose_tier([10_000 * SMALL, *[large] * 8]) == 8
    assert choose_tier([10_000 * SMALL, *[large] * 8, SMALL]) == 9


def test_there_is_one_small_segment() -> None:
    assert choose_tier([SMALL - 1]) == choose_tier([SMALL, 1]) == choose_tier([1, SMALL]) == 0
    assert choose_tier([SMALL, 5, SMALL - 1]) == 2
    assert choose_tier([5] * 9) == 9
