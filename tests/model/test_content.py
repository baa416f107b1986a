"""Chunk lists against bytes: any edit of windows, at any length, and what it costs."""

from __future__ import annotations

import itertools
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.memory import MemoryObjects
from volfs.errors import DamagedObjectError
from volfs.model.content import (
    FANOUT,
    ChunkList,
    Slice,
    count_data,
    decode_chunk_list,
    find_slices,
    iter_content,
    measure_list,
    to_extents,
)
from volfs.model.content_building import build_content
from volfs.model.entry import DIRECT_EXTENTS_MAX, Entry, Extent, Extents, FileKind, check_entry
from volfs.model.objects import NO_OID, Kind, Oid

BITS = 12
WINDOW = 1 << BITS
LEAF = WINDOW * FANOUT
OID = Oid(b"\1" * 32)
EMPTY = Entry(b"f", FileKind.FILE)
encode = msgspec.msgpack.encode


class File:
    """A file in a memory store, edited by windows; ``model`` has each window's bytes."""

    def __init__(self, bits: int = BITS) -> None:
        self.store = MemoryObjects()
        self.bits = bits
        self.entry = EMPTY
        self.model: dict[int, bytes] = {}
        """Windows that are not zeros."""

    def window(self, number: int, size: int) -> bytes:
        length = min(1 << self.bits, size - (number << self.bits))
        return self.model.get(number, b"")[:length].ljust(length, b"\0")

    def edit(self, size: int, changes: dict[int, bytes]) -> None:
        """Write bytes from the start of windows, and give the file a size."""
        old = self.entry.size
        edge = min(old, size)
        dirty = set(changes)
        if old != size and edge % (1 << self.bits):
            dirty.add(edge >> self.bits)
        self.model |= {n: data + self.window(n, old)[len(data) :] for n, data in changes.items()}
        last = -(-size >> self.bits)
        self.model = {n: self.window(n, size) for n in self.model if n < last}
        windows = {n: self.put_window(n, size) for n in dirty if n < last}
        built = build_content(
            self.store.get_list, self.store.put, self.entry, size, windows, self.bits
        )
        self.entry = msgspec.structs.replace(
            self.entry, size=size, extents=built.extents, root=built.root
        )
        check_entry(self.entry)

    def put_window(self, number: int, size: int) -> Extents:
        """Its bytes as a hole, one chunk, or two: what a writer may do."""
        data = self.window(number, size)
        if not any(data):
            return (Extent(len(data), NO_OID, 0),)
        cut = data[0] * 8 % len(data) if data[0] % 2 else 0
        parts = [part for part in (data[:cut], data[cut:]) if part]
        return tuple(Extent(len(part), self.store.put_chunk(part), 0) for part in parts)

    def read(self, offset: int, length: int) -> bytes:
        slices = find_slices(self.store.get_list, self.entry, offset, length)
        assert all(s.length > 0 for s in slices)
        return b"".join(
            self.store.objects[s.oid][s.offset : s.offset + s.length] if s.oid else bytes(s.length)
            for s in slices
        )

    def check(self) -> None:
        size = self.entry.size
        windows = range(-(-size >> self.bits))
        assert self.read(0, size) == b"".join(self.window(n, size) for n in windows)

    def rebuild(self) -> Entry:
        """The same content from nothing."""
        other = File(self.bits)
        other.edit(self.entry.size, self.model)
        return other.entry


def chunk(number: int, length: int = WINDOW) -> bytes:
    """Bytes that tell where they are: no two places of a window look alike."""
    return bytes((number + at + at // 251) % 251 + 1 for at in range(length))


CHUNKS = [chunk(number) for number in range(251)]


COUNTS = st.sampled_from([0, 1, 3, 4, 5, 8, 63, 64, 65, 130])
SIZES = st.builds(lambda n, rest: max(0, n * WINDOW + rest), COUNTS, st.sampled_from([-1, 0, 7]))
NUMBERS = st.sampled_from([0, 1, 3, 4, 5, 62, 63, 64, 65, 128])
DATA = st.sampled_from([b"\0", bytes(WINDOW), *(CHUNKS[n][:k] for n in (1, 2) for k in (1, 100))])
DATA |= st.sampled_from(CHUNKS[:3])
STEPS = st.lists(
    st.tuples(SIZES, st.dictionaries(NUMBERS, DATA, max_size=4)), min_size=1, max_size=5
)


@given(STEPS)
@settings(max_examples=60)
def test_any_history_equals_the_bytes_and_building_from_scratch(
    steps: list[tuple[int, dict[int, bytes]]],
) -> None:
    file = File()
    for size, changes in steps:
        last = -(-size >> BITS)
        file.edit(size, {n: d for n, d in changes.items() if n < last})
        file.check()
        assert file.rebuild() == file.entry


FAR = st.sampled_from([0, 1, 63, 64, 4095, 4096, 4097, 64**3 - 1, 64**3, 64**4 - 1, 64**4 + 5])


@given(st.lists(st.tuples(FAR, st.dictionaries(FAR, st.integers(1, 9), max_size=3)), max_size=6))
@settings(max_examples=60)
def test_sparse_files_of_any_level(steps: list[tuple[int, dict[int, int]]]) -> None:
    """Up to 1 TiB in windows of 4 KiB: five levels, a few windows that are not holes."""
    file = File()
    for last, changes in steps:
        file.edit(
            (last + 1) * WINDOW, {n: CHUNKS[v % 251] for n, v in changes.items() if n <= last}
        )
        size = file.entry.size
        for number in (0, 1, 63, 64, 65, 4095, 4096, 64**3, 64**4):
            if number <= last:
                assert file.read(number * WINDOW, WINDOW) == file.window(number, size)
        assert file.rebuild() == file.entry
        slices = find_slices(file.store.get_list, file.entry, 0, size)
        assert sum(s.length for s in slices) == size
        held = {(kind, oid) for kind, oid in iter_content(file.store.get_list, file.entry)}
        assert {oid for kind, oid in held if kind == Kind.CHUNK} == {s.oid for s in slices} - {b""}
        assert all(file.store.kinds[oid] == kind for kind, oid in held)


@given(st.integers(0, 200 * WINDOW), st.integers(1, 70 * WINDOW))
def test_any_range(offset: int, length: int) -> None:
    file = File()
    file.edit(200 * WINDOW + 9, {n: CHUNKS[n % 251] for n in range(201) if n % 7})
    length = min(length, file.entry.size - offset)
    whole = b"".join(file.window(n, file.entry.size) for n in range(201))
    assert file.read(offset, length) == whole[offset : offset + length]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_few_windows_live_in_the_entry(count: int) -> None:
    file = File()
    file.edit(count * WINDOW, {n: bytes([254]) * WINDOW for n in range(count)})
    assert not file.entry.root
    assert len(file.entry.extents) <= DIRECT_EXTENTS_MAX
    assert file.store.puts[Kind.CHUNK_LIST] == 0


def test_few_windows_of_many_extents_are_a_list() -> None:
    store = MemoryObjects()
    one = tuple(Extent(WINDOW // 8, Oid(bytes([i]) * 32), 0) for i in range(8))
    built = build_content(store.get_list, store.put, EMPTY, WINDOW, {0: one}, BITS)
    assert built.extents == ()
    assert store.get_list(built.root).extents == one


@pytest.mark.parametrize("size", [1, WINDOW, 5 * WINDOW, LEAF, LEAF + 1, 1 << 30, 1 << 40])
def test_a_hole_is_one_extent(size: int) -> None:
    file = File()
    file.edit(size, {})
    assert file.entry.extents == (Extent(size, NO_OID, 0),)
    assert file.entry.root == NO_OID
    assert file.store.puts.total() == 0


def test_what_becomes_a_hole_is_one_extent_again() -> None:
    file = File()
    file.edit(100 * WINDOW, {7: CHUNKS[1], 70: CHUNKS[2]})
    file.edit(100 * WINDOW, {7: bytes(WINDOW), 70: bytes(WINDOW)})
    assert file.entry.extents == (Extent(100 * WINDOW, NO_OID, 0),)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_one_window_of_a_big_file_puts_one_list_per_level(levels: int) -> None:
    file = File()
    last = FANOUT**levels - 1
    file.edit(
        (last + 1) * WINDOW, {n: CHUNKS[n % 251] for n in range(0, last + 1, max(1, last // 200))}
    )
    for number in (0, last // 2, last):
        file.store.reset_counts()
        file.edit(file.entry.size, {number: b"new" + bytes([number % 251])})
        assert file.store.puts[Kind.CHUNK_LIST] == levels
        assert file.store.loads < 2 * FANOUT * levels


def test_an_unchanged_file_puts_nothing() -> None:
    file = File()
    file.edit(300 * WINDOW + 5, {n: CHUNKS[n % 251] for n in range(300)})
    old = file.entry
    file.store.reset_counts()
    file.edit(old.size, {})
    assert file.entry == old
    assert file.store.puts.total() == 0
    assert file.store.loads < 5


def test_an_appended_window_shares_all_full_lists() -> None:
    file = File()
    file.edit(640 * WINDOW, {n: CHUNKS[n % 251] for n in range(640)})
    file.store.reset_counts()
    file.edit(641 * WINDOW, {640: CHUNKS[1]})
    assert file.store.puts[Kind.CHUNK_LIST] == 2


def test_growing_a_level_shares_the_old_root() -> None:
    file = File()
    file.edit(LEAF, {n: CHUNKS[n % 251] for n in range(64)})
    old = file.entry.root
    file.edit(LEAF + WINDOW, {64: CHUNKS[1]})
    assert file.store.get_list(Oid(file.entry.root)).children[0] == old
    file.edit(LEAF, {})
    assert file.entry.root == old


def test_truncating_where_the_first_lists_are_holes() -> None:
    """Levels go away, and below the old root there is nothing to go down to."""
    file = File()
    file.edit(64**3 * WINDOW, {64**3 - 1: CHUNKS[1]})
    file.edit(10 * WINDOW, {})
    assert file.entry.extents == (Extent(10 * WINDOW, NO_OID, 0),)
    file.edit(64**3 * WINDOW, {3: CHUNKS[1], 64**3 - 1: CHUNKS[1]})
    file.edit(10 * WINDOW, {})
    file.check()


def test_a_tebibyte_of_holes_costs_nothing() -> None:
    file = File(bits=20)
    began = time.perf_counter()
    size = 1 << 40
    file.edit(size, {5: b"near", (size >> 20) - 1: b"far"})
    file.edit(size, {500_000: b"middle"})
    file.edit(size - 1, {})
    file.edit(3 << 20, {})
    file.edit(size, {(size >> 20) - 1: b"far"})
    assert file.read(5 << 20, 4) == b"\0\0\0\0"
    assert file.read(size - (1 << 20), 3) == b"far"
    assert len(find_slices(file.store.get_list, file.entry, 0, size)) < 300
    assert file.store.puts[Kind.CHUNK_LIST] < 40
    assert time.perf_counter() - began < 5


def test_another_chunk_size_takes_over_no_lists() -> None:
    """A file that came from a volume of larger windows is written in ours."""
    file = File(bits=13)
    file.edit(100 << 13, {n: CHUNKS[n % 251] * 2 for n in range(100)})
    content = file.read(0, file.entry.size)
    windows = {3: (Extent(WINDOW, file.store.put_chunk(b"!" * WINDOW), 0),)}
    store = file.store
    built = build_content(store.get_list, store.put, file.entry, file.entry.size, windows, BITS)
    file.entry = msgspec.structs.replace(file.entry, extents=built.extents, root=built.root)
    expected = content[: 3 * WINDOW] + b"!" * WINDOW + content[4 * WINDOW :]
    assert file.read(0, file.entry.size) == expected
    assert store.get_list(Oid(built.root)).chunk_bits == BITS


def test_to_extents_joins_what_goes_on() -> None:
    other = Oid(b"\2" * 32)
    slices = [
        Slice(OID, 0, 5),
        Slice(OID, 5, 5),
        Slice(OID, 20, 5),
        Slice(NO_OID, 0, 7),
        Slice(NO_OID, 0, 8),
        Slice(other, 0, 1),
    ]
    assert to_extents(slices) == (
        Extent(10, OID, 0),
        Extent(5, OID, 20),
        Extent(15, NO_OID, 0),
        Extent(1, other, 0),
    )


# --- damage -----------------------------------------------------------------


def leaf(*extents: Extent, bits: int = BITS) -> bytes:
    return encode([0, bits, extents, []])


BAD = {
    "neither": encode([0, BITS, [], []]),
    "inner without children": encode([1, BITS, [], []]),
    "leaf with children": encode([0, BITS, [], [OID]]),
    "inner with extents": encode([1, BITS, [Extent(1, OID, 0)], []]),
    "both": encode([1, BITS, [Extent(1, OID, 0)], [OID]]),
    "level 5": encode([5, BITS, [], [OID]]),
    "bits 11": leaf(Extent(1, OID, 0), bits=11),
    "bits 27": leaf(Extent(1, OID, 0), bits=27),
    "more than its windows": leaf(Extent(LEAF + 1, OID, 0)),
    "empty extent": leaf(Extent(0, OID, 0)),
    "short chunk id": leaf(Extent(1, Oid(b"1"), 0)),
    "offset too large": leaf(Extent(1, OID, 1 << 32)),
    "hole with an offset": leaf(Extent(1, OID, 0), Extent(1, NO_OID, 1)),
    "only a hole": leaf(Extent(1, NO_OID, 0)),
    "only holes below": encode([1, BITS, [], [b"", b""]]),
    "short child id": encode([1, BITS, [], [b"1"]]),
    "65 children": encode([1, BITS, [], [OID] * 65]),
    "1025 extents": leaf(*[Extent(1, OID, 0)] * 1025),
    "trailing bytes": leaf(Extent(1, OID, 0)) + b"\0",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_impossible_lists_are_damage(data: bytes) -> None:
    with pytest.raises(DamagedObjectError):
        decode_chunk_list(data)


@given(st.binary(max_size=60))
@settings(max_examples=200)
def test_random_bytes_never_raise_anything_else(data: bytes) -> None:
    for prefix in (b"", b"\x94\x00\x0c\x91", b"\x94\x01\x0c\x90"):
        try:
            decode_chunk_list(prefix + data)
        except DamagedObjectError:
            pass


def test_truncations_are_damage() -> None:
    for data in (leaf(Extent(9, OID, 3)), encode([1, BITS, [], [OID, b"", OID]])):
        decode_chunk_list(data)
        for end in range(len(data)):
            with pytest.raises(DamagedObjectError):
                decode_chunk_list(data[:end])


def find_all(store: MemoryObjects, root: Oid, size: int) -> list[Slice]:
    entry = Entry(b"f", FileKind.FILE, size=size, root=root)
    return find_slices(store.get_list, entry, 0, size)


def test_a_list_that_ends_early_is_damage_and_no_hole() -> None:
    store = MemoryObjects()
    short = store.put(Kind.CHUNK_LIST, leaf(Extent(WINDOW, OID, 0)))
    with pytest.raises(DamagedObjectError):
        find_all(store, short, WINDOW + 1)
    full = store.put(Kind.CHUNK_LIST, leaf(Extent(LEAF, OID, 0)))
    inner = store.put(Kind.CHUNK_LIST, encode([1, BITS, [], [full]]))
    with pytest.raises(DamagedObjectError):
        find_all(store, inner, LEAF + 1)
    with pytest.raises(DamagedObjectError):
        find_all(store, full, LEAF + 1)


def test_levels_out_of_order_are_damage() -> None:
    store = MemoryObjects()
    low = store.put(Kind.CHUNK_LIST, leaf(Extent(WINDOW, OID, 0)))
    other = store.put(Kind.CHUNK_LIST, leaf(Extent(WINDOW, OID, 0), bits=13))
    for level, child in itertools.product((1, 2), (low, other)):
        if (level, child) != (1, low):
            root = store.put(Kind.CHUNK_LIST, encode([level, BITS, [], [child]]))
            with pytest.raises(DamagedObjectError):
                find_all(store, root, WINDOW)


def test_lists_of_a_former_volfs_are_measured_in_bounded_work() -> None:
    """A list may be in a file any number of times, and lists may lie within lists for ever."""
    store = MemoryObjects()
    leaf_list = root = store.put(Kind.CHUNK_LIST, leaf(Extent(WINDOW, OID, 0)))
    for level in range(1, 5):
        root = store.put(Kind.CHUNK_LIST, encode([level, BITS, [], [root] * FANOUT]))
    asked: list[Oid] = []

    def get(oid: Oid) -> ChunkList:
        asked.append(oid)
        return store.get_list(oid)

    assert measure_list(get, root) == WINDOW * FANOUT**4
    assert len(asked) == 5

    for _ in range(2000):
        leaf_list = store.put(Kind.CHUNK_LIST, encode([4, BITS, [], [leaf_list] * 2]))
    entry = Entry(b"f", FileKind.FILE, size=1 << 40, root=leaf_list)
    with pytest.raises(DamagedObjectError, match="levels"):
        measure_list(store.get_list, leaf_list)
    with pytest.raises(DamagedObjectError, match="levels"):
        count_data(store.get_list, entry, 1, 1 << 30)


def test_direct_extents_that_end_early_are_damage() -> None:
    entry = Entry(b"f", FileKind.FILE, size=9, extents=(Extent(5, OID, 0),))
    with pytest.raises(DamagedObjectError):
        find_slices(MemoryObjects().get_list, entry, 0, 9)
