"""Trees: the same entries give the same pages, whatever the history."""

from __future__ import annotations

from itertools import islice

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.memory import MemoryObjects
from tests.model.builders import directory_entry, file_entry
from volfs.errors import DamagedObjectError
from volfs.model.entry import Entry, Extent, FileKind, Totals, replace, with_known_sums
from volfs.model.objects import NO_OID, Kind, Oid
from volfs.model.tree import (
    EMPTY_TREE,
    PAGE_MAX,
    NameChange,
    begins_page,
    build_tree,
    count_entries,
    decode_tree,
    diff_trees,
    edit_tree,
    find_entry,
    iter_entries,
    iter_objects,
)

encode = msgspec.msgpack.encode
OID = b"\1" * 32


def pick_names(count: int, begins: bool) -> list[bytes]:
    """Sorted names that all begin a page, or that none does."""
    names = (b"n%07d" % i for i in range(10_000_000))
    return list(islice((name for name in names if begins_page(name) == begins), count))


HEADS = pick_names(12, begins=True)
PLAIN = pick_names(1500, begins=False)
NAMES = sorted(HEADS + [name + b"." for name in HEADS] + PLAIN[:1400:28])
"""Few names with many beginnings: cuts appear, move and vanish all the time."""


def make(name: bytes, content: int) -> Entry:
    return file_entry(name, b"x" * content)


EDITS = st.dictionaries(st.sampled_from(NAMES), st.none() | st.integers(1, 3), max_size=20)


def apply(model: dict[bytes, Entry], edits: dict[bytes, Entry | None]) -> None:
    for name, entry in edits.items():
        if entry is None:
            model.pop(name, None)
        else:
            model[name] = entry


def check_equals(store: MemoryObjects, oid: Oid, model: dict[bytes, Entry]) -> None:
    get = store.get_tree
    expected = [model[name] for name in sorted(model)]
    assert list(iter_entries(get, oid)) == expected
    assert count_entries(get, oid) == len(model)
    for name in {*NAMES, *model}:
        assert find_entry(get, oid, name) == model.get(name)
    pages = get(oid).pages
    assert list(iter_objects(get, oid)) == ([oid] if oid else []) + [p.oid for p in pages]
    for page in pages:
        entries = get(Oid(page.oid)).entries
        names = list(entries)
        assert page.first == names[0]
        assert page.count == len(names) <= PAGE_MAX
        assert not any(map(begins_page, names[1:]))
        totals = Totals(*map(sum, zip(*(e.totals for e in entries.values()), strict=True)))
        assert totals == page.totals


@given(st.lists(EDITS, max_size=6))
@settings(max_examples=70)
def test_any_history_equals_building_from_scratch(history: list[dict[bytes, int | None]]) -> None:
    store = MemoryObjects()
    model: dict[bytes, Entry] = {}
    oid = NO_OID
    for contents in history:
        edits = {name: content and make(name, content) for name, content in contents.items()}
        before = dict(model)
        old, edited = oid, edit_tree(store.get_tree, store.put, oid, edits)
        apply(model, edits)
        oid = edited.oid
        assert edited == build_tree(MemoryObjects().put, model.values())
        check_equals(store, oid, model)
        data = sum(e.data for e in model.values())
        size = sum(e.size for e in model.values())
        assert edited.totals == Totals(len(model), 0, size, data=data)
        assert edited.length == len(model)
        assert list(diff_trees(store.get_tree, old, oid)) == [
            NameChange(name, before.get(name), model.get(name))
            for name in sorted(before.keys() | model.keys())
            if before.get(name) != model.get(name)
        ]


@given(st.data())
@settings(max_examples=25)
def test_long_runs_without_a_beginning_are_cut_the_same(data: st.DataObject) -> None:
    """More than PAGE_MAX names and no beginning: cut by count, from where the run begins."""
    store = MemoryObjects()
    model = {name: make(name, 1) for name in PLAIN}
    oid = build_tree(store.put, model.values()).oid
    for _ in range(3):
        touched = data.draw(
            st.lists(st.sampled_from([PLAIN[0], PLAIN[511], PLAIN[512], PLAIN[1024], *PLAIN[::97]]))
        )
        heads = data.draw(st.lists(st.sampled_from(HEADS), max_size=3))
        keep = data.draw(st.booleans())
        edits = {name: make(name, 2) if keep else None for name in touched}
        edits |= {name: make(name, 1) if not keep else None for name in heads}
        oid = edit_tree(store.get_tree, store.put, oid, edits).oid
        apply(model, edits)
        assert oid == build_tree(store.put, model.values()).oid
    assert list(iter_entries(store.get_tree, oid)) == [model[name] for name in sorted(model)]


def test_a_run_is_cut_at_page_max() -> None:
    store = MemoryObjects()
    built = build_tree(store.put, (make(name, 1) for name in PLAIN))
    assert [p.count for p in store.get_tree(built.oid).pages] == [512, 512, 476]


def test_removing_the_name_that_begins_a_page_joins_it_to_the_page_before() -> None:
    store = MemoryObjects()
    head = HEADS[1]
    names = [name for name in PLAIN if name < HEADS[2]] + [head]
    oid = build_tree(store.put, (make(name, 1) for name in names)).oid
    without = edit_tree(store.get_tree, store.put, oid, {head: None})
    expected = build_tree(store.put, (make(name, 1) for name in names if name != head))
    assert without == expected
    again = edit_tree(store.get_tree, store.put, without.oid, {head: make(head, 1)})
    assert again.oid == oid


def test_everything_removed_is_the_empty_tree() -> None:
    store = MemoryObjects()
    names = PLAIN[:1000] + HEADS
    oid = build_tree(store.put, (make(name, 1) for name in names)).oid
    edited = edit_tree(store.get_tree, store.put, oid, dict.fromkeys(names))
    assert edited == (NO_OID, 0, Totals(0, 0, 0))
    assert build_tree(store.put, []) == edited
    assert find_entry(store.get_tree, NO_OID, b"x") is None
    assert list(iter_entries(store.get_tree, NO_OID)) == []
    assert list(iter_objects(store.get_tree, NO_OID)) == []


def big_tree(store: MemoryObjects) -> tuple[Oid, list[bytes]]:
    names = sorted(b"file-%06d" % i for i in range(20_000))
    return build_tree(store.put, (make(name, 1) for name in names)).oid, names


def test_a_change_in_a_big_tree_puts_one_page_and_the_index() -> None:
    store = MemoryObjects()
    oid, names = big_tree(store)
    plain = next(name for name in names[5000:] if not begins_page(name))
    store.reset_counts()
    edited = edit_tree(store.get_tree, store.put, oid, {plain: make(plain, 2)})
    assert store.puts[Kind.TREE] == 2
    assert store.loads < 10
    store.reset_counts()
    assert [change.name for change in diff_trees(store.get_tree, oid, edited.oid)] == [plain]
    assert store.loads == 4


def test_a_find_in_a_big_tree_reads_two_objects() -> None:
    store = MemoryObjects()
    oid, names = big_tree(store)
    for name in (names[0], names[777], names[-1]):
        store.reset_counts()
        assert find_entry(store.get_tree, oid, name) == make(name, 1)
        assert store.loads == 2
    assert find_entry(store.get_tree, oid, b"a") is None
    assert find_entry(store.get_tree, oid, b"z") is None


def test_an_edit_that_changes_nothing_puts_nothing() -> None:
    store = MemoryObjects()
    oid, names = big_tree(store)
    store.reset_counts()
    edits: dict[bytes, Entry | None] = {names[5]: make(names[5], 1), b"absent": None}
    assert edit_tree(store.get_tree, store.put, oid, edits).oid == oid
    assert edit_tree(store.get_tree, store.put, oid, {}).oid == oid
    assert store.puts.total() == 0


def test_totals_count_what_is_below() -> None:
    store = MemoryObjects()
    below = replace(
        directory_entry(b"d"),
        root=OID,
        files=5,
        directories=2,
        content_bytes=9,
        subdirectories=1,
        data_bytes=5,
        linked=4,
    )
    link = Entry(b"link", FileKind.FILE, group=3)
    symlink = Entry(b"sym", FileKind.SYMLINK, size=6, inline=b"target")
    edited = build_tree(store.put, [below, link, symlink, make(b"f", 3), directory_entry(b"e")])
    assert edited.totals == Totals(7, 4, 18, 2, data=5 + 9, linked=4 + 1)
    assert edited.length == 5


def test_an_entry_under_another_name_is_refused() -> None:
    with pytest.raises(AssertionError):
        edit_tree(lambda oid: EMPTY_TREE, MemoryObjects().put, NO_OID, {b"a": make(b"b", 1)})


def test_a_page_that_is_not_what_its_index_says_is_damage() -> None:
    store = MemoryObjects()
    oid, _ = big_tree(store)
    pages = store.get_tree(oid).pages
    wrong = msgspec.structs.replace(pages[3], oid=pages[4].oid)
    index = store.put(Kind.TREE, encode([1, [], [*pages[:3], wrong, *pages[4:]]]))
    with pytest.raises(DamagedObjectError):
        list(iter_entries(store.get_tree, index))
    with pytest.raises(DamagedObjectError):
        find_entry(store.get_tree, index, wrong.first)


# --- decoding ---------------------------------------------------------------


def page(*entries: Entry) -> bytes:
    return encode([0, entries, []])


def ref(first: bytes, **changes: object) -> list[object]:
    fields = {"first": first, "oid": OID, "count": 1, "f": 1, "d": 0, "b": 0, "s": 0} | changes
    return list(fields.values())


def extent(length: int, oid: bytes = OID, offset: int = 0) -> Extent:
    return Extent(length, oid, offset)


GOOD = [
    file_entry(b"f", b"x" * 1024),
    Entry(b"f", FileKind.FILE),
    Entry(b"f", FileKind.FILE, size=9, extents=(extent(4), extent(5, b""))),
    Entry(b"f", FileKind.FILE, size=1 << 40, root=OID),
    Entry(b"f", FileKind.FILE, group=(1 << 63) - 1),
    Entry(b"f" * 255, FileKind.SYMLINK, size=4095, inline=b"t" * 4095),
    Entry(b"\xff\n", FileKind.FIFO, 0o7777, 2**32 - 1, 2**32 - 1, -(2**63), 2**63 - 1),
    Entry(b"f", FileKind.BLOCK, rdev=2**63 - 1, xattrs=((b"user.a", b""), (b"user.b", b"2"))),
    Entry(b"d", FileKind.DIRECTORY, root=OID, files=1),
]


@pytest.mark.parametrize("entry", GOOD)
def test_every_sort_of_entry_survives(entry: Entry) -> None:
    assert decode_tree(page(entry)).entries == {entry.name: with_known_sums(entry)}


BAD = {
    "unsorted": page(make(b"b", 1), make(b"a", 1)),
    "twice": page(make(b"a", 1), make(b"a", 1)),
    "no entries": page(),
    "neither page nor index": encode([0, [make(b"a", 1)], [ref(b"a"), ref(b"b")]]),
    "level 2": encode([2, [], [ref(b"a"), ref(b"b")]]),
    "empty index": encode([1, [], []]),
    "index of one page": encode([1, [], [ref(b"a")]]),
    "index with entries": encode([1, [make(b"a", 1)], [ref(b"a"), ref(b"b")]]),
    "index unsorted": encode([1, [], [ref(b"b"), ref(b"a")]]),
    "index twice": encode([1, [], [ref(b"a"), ref(b"a")]]),
    "page of no name": encode([1, [], [ref(b""), ref(b"a")]]),
    "page of no id": encode([1, [], [ref(b"a", oid=b""), ref(b"b")]]),
    "page of no entries": encode([1, [], [ref(b"a", count=0), ref(b"b")]]),
    "page too large": encode([1, [], [ref(b"a", count=513), ref(b"b")]]),
    "too many entries": page(*(make(b"%03d" % i, 1) for i in range(513))),
    "not an array": encode({"level": 0}),
    "trailing bytes": page(make(b"a", 1)) + b"\0",
    "a field too many": encode([0, [make(b"a", 1)], [], 0]),
    "name empty": page(make(b"", 1)),
    "name dot": page(make(b".", 1)),
    "name dotdot": page(make(b"..", 1)),
    "name with slash": page(make(b"a/b", 1)),
    "name with nul": page(make(b"a\0", 1)),
    "name too long": page(make(b"a" * 256, 1)),
    "kind 0": page(Entry(b"f", 0)),
    "kind 8": page(Entry(b"f", 8)),
    "mode": page(Entry(b"f", 1, 0o10000)),
    "uid": page(Entry(b"f", 1, uid=2**32)),
    "negative uid": page(Entry(b"f", 1, uid=-1)),
    "size without content": page(Entry(b"f", 1, size=1)),
    "list without size": page(Entry(b"f", 1, root=OID)),
    "inline of another size": page(Entry(b"f", 1, size=2, inline=b"1")),
    "inline too large": page(Entry(b"f", 1, size=1025, inline=b"x" * 1025)),
    "two forms": page(Entry(b"f", 1, size=1, inline=b"1", extents=(extent(1),))),
    "extents of another size": page(Entry(b"f", 1, size=2, extents=(extent(1),))),
    "five extents": page(Entry(b"f", 1, size=5, extents=(extent(1),) * 5)),
    "empty extent": page(Entry(b"f", 1, extents=(extent(0),))),
    "short chunk id": page(Entry(b"f", 1, size=1, extents=(extent(1, OID[1:]),))),
    "hole with offset": page(Entry(b"f", 1, size=1, extents=(extent(1, b"", 1),))),
    "short list id": page(Entry(b"f", 1, size=1, root=OID[1:])),
    "long list id": page(Entry(b"f", 1, size=1, root=OID + b"1")),
    "short tree id": page(Entry(b"f", 2, root=OID[1:])),
    "directory with extents": page(Entry(b"f", 2, size=1, extents=(extent(1),))),
    "directory with inline": page(Entry(b"f", 2, size=1, inline=b"1")),
    "directory with links": page(Entry(b"f", 2, group=1)),
    "link with inline": page(Entry(b"f", 1, size=1, inline=b"1", group=1)),
    "link with list": page(Entry(b"f", 1, size=1, root=OID, group=1)),
    "symlink of another size": page(Entry(b"f", 3, size=1, inline=b"12")),
    "symlink with list": page(Entry(b"f", 3, root=OID)),
    "symlink too long": page(Entry(b"f", 3, size=4096, inline=b"x" * 4096)),
    "fifo with inline": page(Entry(b"f", 4, size=1, inline=b"1")),
    "xattrs unsorted": page(Entry(b"f", 1, xattrs=((b"b", b""), (b"a", b"")))),
    "xattr twice": page(Entry(b"f", 1, xattrs=((b"a", b""), (b"a", b"")))),
    "xattr without name": page(Entry(b"f", 1, xattrs=((b"", b""),))),
    "xattrs too large": page(Entry(b"f", 1, xattrs=((b"a", b"x" * 65536),))),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_impossible_trees_are_damage(data: bytes) -> None:
    with pytest.raises(DamagedObjectError):
        decode_tree(data)


def decode_or_damage(data: bytes) -> None:
    try:
        decode_tree(data)
    except DamagedObjectError:
        pass


@given(st.binary(max_size=60))
@settings(max_examples=200)
def test_random_bytes_never_raise_anything_else(data: bytes) -> None:
    decode_or_damage(data)
    decode_or_damage(b"\x93\x00\x91" + data)
    decode_or_damage(b"\x93\x01\x90" + data)


def test_truncations_are_damage() -> None:
    whole = [page(*(replace(e, name=b"%d" % i) for i, e in enumerate(GOOD)))]
    whole.append(encode([1, [], [ref(b"a"), ref(b"b")]]))
    for data in whole:
        decode_tree(data)
        for end in range(len(data)):
            with pytest.raises(DamagedObjectError):
                decode_tree(data[:end])


@given(st.data())
@settings(max_examples=200)
def test_flipped_bytes_never_raise_anything_else(data: st.DataObject) -> None:
    whole = bytearray(page(*(replace(e, name=b"%d" % i) for i, e in enumerate(GOOD[1:5]))))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    decode_or_damage(bytes(whole))


def test_claimed_lengths_are_not_believed() -> None:
    for claim in (b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"):
        decode_or_damage(b"\x93\x00" + claim)
        decode_or_damage(b"\x93\x00\x91\x92" + claim)
    decode_or_damage(b"\x91" * 100_000)
