"""Hard links: the counts in the link tree equal a full recount, whatever changed."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.harness.memory import MemoryObjects
from tests.model.builders import Volume, build, build_volume, file_entry, read_volume
from tests.model.strategies import volumes
from volfs.errors import DamagedObjectError
from volfs.model.links import find_groups, find_record, group_name, has_group, settle_links
from volfs.model.objects import NO_OID


@given(volumes(), volumes())
def test_counts_equal_a_recount(a: Volume, b: Volume) -> None:
    store = MemoryObjects()
    before, expected = build_volume(store, a), build_volume(store, b)
    settled = settle_links(store.get_tree, store.put, before, expected.root, b.records)
    assert settled == expected
    assert read_volume(store, settled) == read_volume(store, expected)


@given(volumes(), volumes())
def test_missing_records_come_from_the_spare_tree(a: Volume, b: Volume) -> None:
    store = MemoryObjects()
    before, other = build_volume(store, a), build_volume(store, b)
    settled = settle_links(store.get_tree, store.put, before, other.root, {}, spare=other.links)
    records = read_volume(store, settled).records
    assert records == {group: a.records.get(group, b.records[group]) for group in b.records}


def test_a_volume_without_links_costs_nothing(store: MemoryObjects) -> None:
    before, after = build(store, {"a": b"1"}), build(store, {"b": b"2"})
    store.reset_counts()
    settled = settle_links(store.get_tree, store.put, before, after.root, {})
    assert settled == after
    assert store.loads == 0


def test_a_group_that_has_no_record_is_damage(store: MemoryObjects) -> None:
    before, after = build(store, {"z": 8}, {8: b""}), build(store, {"a": 7}, {7: b"x"})
    with pytest.raises(DamagedObjectError, match="group 7"):
        settle_links(store.get_tree, store.put, before, after.root, {})
    with pytest.raises(DamagedObjectError):
        find_record(store.get_tree, NO_OID, 7)


def test_records_are_found_by_group(store: MemoryObjects) -> None:
    group = (1 << 63) - 1
    snapshot = build(store, {"a": group, "d/b": group}, {group: b"x"})
    record = find_record(store.get_tree, snapshot.links, group)
    assert record == file_entry(group_name(group), b"x", links=2)
    assert record.name == b"7fffffffffffffff"
    assert has_group(store.get_tree, snapshot.links, group)
    assert not has_group(store.get_tree, snapshot.links, 5)


def test_totals_count_a_linked_file_once(store: MemoryObjects) -> None:
    snapshot = build(store, {"a": 1, "d/b": 1, "d/c": 1, "f": b"12"}, {1: b"12345"})
    totals = snapshot.totals
    assert (totals.files, totals.directories, totals.bytes, totals.inodes) == (2, 1, 7, 3)


def test_names_of_groups_are_found_anywhere(store: MemoryObjects) -> None:
    paths: dict[str, bytes | int | None] = {"a": 1, "b": 2, "d/a": 1, "d/e/f": 3, "x": b""}
    snapshot = build(store, paths, {1: b"", 2: b"", 3: b""})
    found = find_groups(store.get_tree, snapshot.root.tree, {1, 3})
    assert sorted((path, entry.group) for path, entry in found) == [
        ((b"a",), 1),
        ((b"d", b"a"), 1),
        ((b"d", b"e", b"f"), 3),
    ]
    assert list(find_groups(store.get_tree, NO_OID, {1})) == []
