"""Deltas against plain dicts."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.memory import MemoryObjects
from tests.model.builders import (
    Directory,
    Volume,
    build,
    build_volume,
    directory_entry,
    file_entry,
    find,
    link_entry,
    read_paths,
    read_records,
    read_volume,
)
from tests.model.strategies import GROUPS, NAMES, directories, volumes
from volfs.errors import DamagedObjectError, NoEntryError
from volfs.model.delta import Delta, DirectoryDelta, apply_delta, make_replacement
from volfs.model.diff import diff_directories
from volfs.model.entry import Entry, replace
from volfs.model.manifest import Snapshot
from volfs.model.objects import NO_OID, Kind


def apply(store: MemoryObjects, base: Snapshot, delta: Delta) -> Snapshot:
    return apply_delta(store.get_tree, store.put, base, delta).snapshot


def made(mode: int = 0o755) -> DirectoryDelta:
    return DirectoryDelta(directory_entry(mode=mode), NO_OID)


def test_names_come_go_and_change(store: MemoryObjects) -> None:
    base = build(store, {"keep": b"1", "gone": b"2", "d/changed": b"3", "d/keep": b"4"})
    delta = Delta()
    delta.root.names[b"gone"] = None
    delta.root.names[b"new"] = file_entry(b"new", b"5")
    delta.at((b"d",)).names[b"changed"] = file_entry(b"changed", b"6")
    after = apply(store, base, delta)
    assert read_paths(store, after) == {
        "keep": b"1",
        "new": b"5",
        "d/changed": b"6",
        "d/keep": b"4",
    }


def test_an_empty_delta_is_the_base(store: MemoryObjects) -> None:
    base = build(store, {"a": b"1", "d/l": 5}, {5: b"x"})
    applied = apply_delta(store.get_tree, store.put, base, Delta())
    assert applied.snapshot == base
    assert applied.directories == {(): base.root}


def test_a_renamed_directory_comes_with_its_tree(store: MemoryObjects) -> None:
    base = build(store, {"old/a": b"1", "old/deep/b": b"2"})
    old = find(store, base, "old")
    delta = Delta()
    delta.root.names[b"old"] = None
    delta.root.names[b"new"] = DirectoryDelta(old, old.tree)
    store.reset_counts()
    after = apply(store, base, delta)
    assert read_paths(store, after) == {"new/a": b"1", "new/deep/b": b"2"}
    assert store.puts[Kind.TREE] == 1


def test_changes_below_a_renamed_directory(store: MemoryObjects) -> None:
    base = build(store, {"old/a": b"1", "old/deep/b": b"2", "new/c": b"3"})
    old = find(store, base, "old")
    below = DirectoryDelta(names={b"b": None, b"d": file_entry(b"d", b"4")})
    delta = Delta()
    delta.root.names[b"old"] = None
    delta.root.names[b"new"] = DirectoryDelta(old, old.tree, {b"deep": below, b"a": None})
    after = apply(store, base, delta)
    assert read_paths(store, after) == {"new/deep/d": b"4"}
    assert find(store, after, "new").name == b"new"


def test_a_new_directory_begins_empty_where_one_was(store: MemoryObjects) -> None:
    base = build(store, {"d/a": b"1"})
    delta = Delta()
    delta.root.names[b"d"] = made(0o700)
    after = apply(store, base, delta)
    assert read_paths(store, after) == {"d": None}
    assert find(store, after, "d").mode == 0o700


def test_attributes_replace_the_directorys_own(store: MemoryObjects) -> None:
    base = build(store, {"d/a": b"1", "b": b"2"})
    delta = Delta()
    wrong = replace(directory_entry(b"other", 0o700, 77), root=b"\1" * 32, files=9)
    delta.at((b"d",)).attributes = wrong
    delta.root.attributes = wrong
    after = apply(store, base, delta)
    d = find(store, after, "d")
    assert (d.name, d.mode, d.mtime_ns, d.files) == (b"d", 0o700, 77, 1)
    assert d.tree == find(store, base, "d").tree
    assert (after.root.name, after.root.mode, after.root.files) == (b"root", 0o700, 2)


def test_directories_maps_every_directory_that_the_delta_names(store: MemoryObjects) -> None:
    base = build(store, {"d/e/a": b"1", "other/a": b"1"})
    delta = Delta()
    delta.at((b"d", b"e")).names[b"new"] = made()
    applied = apply_delta(store.get_tree, store.put, base, delta)
    paths = [(), (b"d",), (b"d", b"e"), (b"d", b"e", b"new")]
    assert sorted(applied.directories) == paths
    assert applied.directories[()] == applied.snapshot.root
    assert applied.directories[b"d", b"e"] == find(store, applied.snapshot, "d/e")
    totals = applied.snapshot.totals
    assert (totals.files, totals.directories, totals.bytes) == (2, 4, 2)


@pytest.mark.parametrize("path", [(b"absent",), (b"file",), (b"d", b"absent")])
def test_a_delta_of_another_base_is_refused(store: MemoryObjects, path: tuple[bytes, ...]) -> None:
    base = build(store, {"file": b"1", "d/a": b"1"})
    delta = Delta()
    delta.at(path).names[b"x"] = file_entry(b"x")
    with pytest.raises(NoEntryError, match=path[-1].decode()):
        apply(store, base, delta)


def test_linking_a_file(store: MemoryObjects) -> None:
    base = build(store, {"a": b"text"})
    delta = Delta(records={9: replace(find(store, base, "a"), group=9)})
    delta.root.names |= {b"a": link_entry(b"a", 9), b"b": link_entry(b"b", 9)}
    after = apply(store, base, delta)
    assert read_paths(store, after) == {"a": 9, "b": 9}
    assert read_records(store, after) == {9: b"text"}
    assert (after.totals.files, after.totals.bytes) == (1, 4)


def test_a_record_is_kept_as_no_link_itself(store: MemoryObjects) -> None:
    """Whoever hands in a resolved entry, which has its group, gets a readable link tree."""
    base = build(store, {"a": 9, "b": 9}, {9: b"old"})
    delta = Delta(records={9: file_entry(b"a", b"new", group=9, links=77)})
    after = apply(store, base, delta)
    assert read_records(store, after) == {9: b"new"}
    assert (after.link_files, after.link_bytes) == (1, 3)


def test_unlinking_one_of_two_and_then_the_other(store: MemoryObjects) -> None:
    base = build(store, {"a": 9, "b": 9}, {9: b"x"})
    delta = Delta()
    delta.root.names[b"a"] = None
    one = apply(store, base, delta)
    assert read_paths(store, one) == {"b": 9}
    delta.root.names[b"b"] = None
    none = apply(store, base, delta)
    assert none == build(store, {})
    assert none.links == NO_OID


def test_a_record_of_a_group_without_names_is_dropped(store: MemoryObjects) -> None:
    base = build(store, {"a": b"1"})
    assert apply(store, base, Delta(records={4: file_entry(b"-", b"x")})) == base


def test_a_moved_directory_keeps_its_links(store: MemoryObjects) -> None:
    base = build(store, {"old/a": 9, "b": 9}, {9: b"x"})
    old = find(store, base, "old")
    delta = Delta()
    delta.root.names |= {b"old": None, b"new": DirectoryDelta(old, old.tree)}
    assert read_paths(store, apply(store, base, delta)) == {"new/a": 9, "b": 9}


def test_a_link_without_a_record_is_damage(store: MemoryObjects) -> None:
    delta = Delta()
    delta.root.names[b"a"] = link_entry(b"a", 5)
    with pytest.raises(DamagedObjectError):
        apply(store, build(store, {"b": 1}, {1: b"x"}), delta)


def test_directories_deeper_than_pythons_calls(store: MemoryObjects) -> None:
    depth = sys.getrecursionlimit() + 500
    base = build(store, {"b": 9}, {9: b"x"})
    delta = Delta()
    here = delta.root
    for _ in range(depth):
        below = made()
        here.names[b"d"] = below
        here = below
    here.names |= {b"file": file_entry(b"file", b"1"), b"link": link_entry(b"link", 9)}
    after = apply(store, base, delta)
    assert after.totals.directories == depth
    changes = list(diff_directories(store.get_tree, base.root.tree, after.root.tree))
    assert len(changes) == depth + 2


# --- properties -------------------------------------------------------------


def delta_between(old: Directory, new: Directory, made_here: bool = False) -> DirectoryDelta:
    """The delta from one model to another, names that are equal left out."""
    delta = DirectoryDelta()
    delta.attributes = directory_entry(mode=new.mode, mtime_ns=new.mtime_ns)
    if made_here:
        delta.start = NO_OID
    for name in old.names.keys() | new.names.keys():
        a, b = old.names.get(name), new.names.get(name)
        if a == b and not made_here:
            continue
        if isinstance(b, Directory):
            below = a if isinstance(a, Directory) and not made_here else None
            delta.names[name] = delta_between(below or Directory({}), b, below is None)
        elif b is not None or not made_here:
            delta.names[name] = b
    return delta


@given(volumes(), volumes())
def test_applying_the_difference_of_two_models_gives_the_other(a: Volume, b: Volume) -> None:
    store = MemoryObjects()
    base, expected = build_volume(store, a), build_volume(store, b)
    records = {group: replace(record, group=group) for group, record in b.records.items()}
    delta = Delta(delta_between(a.root, b.root), records)
    after = apply(store, base, delta)
    assert after == expected
    assert read_volume(store, after) == read_volume(store, expected)


@given(directories(), st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_a_rename_moves_everything(root: Directory, source: bytes, target: bytes) -> None:
    """As a mount does it: a whiteout, and a delta that starts with the old tree."""
    store = MemoryObjects()
    volume = Volume(root, {group: file_entry(b"-", b"%d" % group) for group in GROUPS})
    base = build_volume(store, volume)
    moved = root.names.get(source)
    if moved is None or source == target:
        return
    entry = find(store, base, source.decode())
    delta = Delta()
    delta.root.names[source] = None
    delta.root.names[target] = (
        DirectoryDelta(entry, entry.tree)
        if isinstance(moved, Directory)
        else replace(entry, name=target)
    )
    names: dict[bytes, Entry | Directory] = {k: v for k, v in root.names.items() if k != source}
    names[target] = moved if isinstance(moved, Directory) else replace(moved, name=target)
    expected = build_volume(store, volume._replace(root=root._replace(names=names)))
    after = apply(store, base, delta)
    assert after == expected


@given(volumes(), volumes())
def test_a_replacement_gives_exactly_what_was_wanted(a: Volume, b: Volume) -> None:
    """Links and their counts included; nothing of it is stored again."""
    store = MemoryObjects()
    base, wanted = build_volume(store, a), build_volume(store, b)
    before = store.puts.copy()
    delta = make_replacement(store.get_tree, base, wanted)
    assert apply_delta(store.get_tree, store.put, base, delta).snapshot == wanted
    assert store.puts == before
