"""Merging: one test for each rule."""

from __future__ import annotations

import sys

import pytest

from tests.harness.memory import MemoryObjects
from tests.model.builders import (
    Directory,
    Volume,
    build,
    build_volume,
    file_entry,
    find,
    link_entry,
    read_paths,
    read_records,
    read_volume,
)
from tests.model.merging import Paths, merge, merge_paths
from volfs.errors import LimitError
from volfs.model.entry import Entry, FileKind, replace
from volfs.model.manifest import Snapshot
from volfs.model.objects import Kind
from volfs.model.profile import Profile

# --- files -------------------------------------------------------------------


def test_changed_on_one_side_only_that_side() -> None:
    base = {"a": b"1", "b": b"2", "d/a": b"3", "d/b": b"4"}
    ours = base | {"a": b"ours", "d/new": b"5"}
    theirs = base | {"b": b"theirs", "d/b": b"theirs"}
    merged = merge_paths(base, ours, theirs)
    assert merged.paths == base | {
        "a": b"ours",
        "b": b"theirs",
        "d/b": b"theirs",
        "d/new": b"5",
    }
    assert merged.overridden == []


def test_removed_on_one_side_only_is_removed() -> None:
    base = {"a": b"1", "b": b"2", "c": b"3"}
    merged = merge_paths(base, {"b": b"2", "c": b"3"}, {"a": b"1", "c": b"3"})
    assert merged == ({"c": b"3"}, {}, [])


def test_a_file_changed_on_both_is_ours_whole() -> None:
    merged = merge_paths({"d/a": b"1"}, {"d/a": b"ours"}, {"d/a": b"theirs"})
    assert merged == ({"d/a": b"ours"}, {}, [("d/a", "modified", "modified")])


def test_a_file_created_on_both_is_ours() -> None:
    merged = merge_paths({"z": b""}, {"z": b"", "a": b"ours"}, {"z": b"", "a": b"theirs"})
    assert merged == ({"z": b"", "a": b"ours"}, {}, [("a", "created", "created")])


def test_the_same_change_on_both_is_no_conflict() -> None:
    merged = merge_paths({"a": b"1"}, {"a": b"2"}, {"a": b"2"})
    assert merged == ({"a": b"2"}, {}, [])


def test_the_same_content_at_other_times_is_no_conflict(store: MemoryObjects) -> None:
    def at(time: int) -> Snapshot:
        entry = file_entry(b"a", b"%d" % min(time, 1), mtime_ns=time)
        return build_volume(store, Volume(Directory({b"a": entry})))

    merged = merge(store, at(0), at(5), at(9))
    assert merged.overridden == []
    assert find(store, merged.snapshot, "a").mtime_ns == 5


def test_removed_by_us_changed_by_them_is_removed() -> None:
    merged = merge_paths({"a": b"1", "b": b""}, {"b": b""}, {"a": b"2", "b": b""})
    assert merged == ({"b": b""}, {}, [("a", "modified", "removed")])


def test_removed_by_them_changed_by_us_comes_back() -> None:
    merged = merge_paths({"a": b"1", "b": b""}, {"a": b"2", "b": b""}, {"b": b""})
    assert merged == ({"a": b"2", "b": b""}, {}, [("a", "removed", "modified")])


def test_removed_by_both_is_no_conflict() -> None:
    assert merge_paths({"a": b"1", "b": b""}, {"b": b""}, {"b": b""}) == ({"b": b""}, {}, [])


# --- directories -------------------------------------------------------------


def test_a_directory_on_both_sides_name_by_name() -> None:
    merged = merge_paths({}, {"d/a": b"1", "d/e/x": b"2"}, {"d/b": b"3", "d/e/y": b"4"})
    assert merged.paths == {"d/a": b"1", "d/e/x": b"2", "d/b": b"3", "d/e/y": b"4"}
    assert merged.overridden == []


def modes(store: MemoryObjects, name: bytes, mode: int, mtime: int) -> Snapshot:
    """A volume with directory ``d`` of a mode and time that holds one file."""
    below = Directory({name: file_entry(name)}, mode, mtime)
    return build_volume(store, Volume(Directory({b"d": below})))


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [(0o755, 0o755, 0o755), (0o700, 0o755, 0o700), (0o755, 0o711, 0o711), (0o700, 0o711, 0o700)],
)
def test_attributes_ours_if_we_changed_them(
    store: MemoryObjects, ours: int, theirs: int, expected: int
) -> None:
    base = modes(store, b"z", 0o755, 1)
    merged = merge(store, base, modes(store, b"a", ours, 2), modes(store, b"b", theirs, 2))
    assert find(store, merged.snapshot, "d").mode == expected


@pytest.mark.parametrize(("ours", "theirs"), [(7, 9), (9, 7)])
def test_the_later_modification_time(store: MemoryObjects, ours: int, theirs: int) -> None:
    sides = [modes(store, b"a", 0o700, ours), modes(store, b"b", 0o711, theirs)]
    merged = merge(store, modes(store, b"z", 0o755, 1), *sides)
    assert find(store, merged.snapshot, "d").mtime_ns == 9


def test_a_directory_that_we_removed_keeps_what_they_made_in_it() -> None:
    base = {"d/a": b"1", "d/e/b": b"2", "z": b""}
    merged = merge_paths(base, {"z": b""}, base | {"d/e/new": b"3"})
    assert merged == ({"d/e/new": b"3", "z": b""}, {}, [])


def test_a_directory_that_we_removed_loses_what_they_changed_in_it() -> None:
    """The later commit wins: we removed the file, too."""
    base = {"d/a": b"1", "d/b": b"2", "z": b""}
    merged = merge_paths(base, {"z": b""}, base | {"d/a": b"3"})
    assert merged == ({"z": b""}, {}, [("d/a", "modified", "removed")])


def test_a_directory_that_they_removed_comes_back_with_what_we_wrote() -> None:
    base = {"d/a": b"1", "d/e/b": b"2", "d/c": b"3", "z": b""}
    merged = merge_paths(base, base | {"d/e/b": b"4", "d/new": b"5"}, {"z": b""})
    assert merged.paths == {"d/e/b": b"4", "d/new": b"5", "z": b""}
    assert merged.overridden == [("d/e/b", "removed", "modified")]


def test_a_directory_removed_and_only_its_attributes_changed(store: MemoryObjects) -> None:
    """The later change wins, as it does for a file; times alone are none."""
    base, other = modes(store, b"a", 0o755, 1), modes(store, b"a", 0o700, 2)
    touched, gone = modes(store, b"a", 0o755, 2), build(store, {})
    assert read_paths(store, merge(store, base, gone, other).snapshot) == {}
    assert read_paths(store, merge(store, base, other, gone).snapshot) == {"d": None}
    assert read_paths(store, merge(store, base, touched, gone).snapshot) == {}


def test_an_empty_directory_made_inside_a_removed_one_stays() -> None:
    base = {"d/a": b"1", "z": b""}
    made = base | {"d/new": None}
    expected = ({"d/new": None, "z": b""}, {}, [])
    assert merge_paths(base, {"z": b""}, made) == expected
    assert merge_paths(base, made, {"z": b""}) == expected


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        ({}, {"x": b"file"}, {"x/y": b"1"}),
        ({}, {"x/y": b"1"}, {"x": b"file"}),
        ({"x": b"old"}, {"x": b"file"}, {"x/y": b"1"}),
        ({"x": b"old"}, {"x/y": b"1"}, {"x": b"file"}),
        ({"x/z": b"old"}, {"x": b"file"}, {"x/z": b"old", "x/y": b"1"}),
        ({"x/z": b"old"}, {"x/z": b"old", "x/y": b"1"}, {"x": b"file"}),
    ],
)
def test_a_file_on_one_side_and_a_directory_on_the_other_is_ours(
    base: Paths, ours: Paths, theirs: Paths
) -> None:
    merged = merge_paths(base, ours, theirs)
    assert merged.paths == ours
    assert [path for path, _, _ in merged.overridden] == ["x"]


def test_a_file_that_both_made_a_directory_merges() -> None:
    merged = merge_paths({"x": b"old"}, {"x/a": b"1"}, {"x/b": b"2"})
    assert merged == ({"x/a": b"1", "x/b": b"2"}, {}, [])


def test_a_file_that_we_removed_and_they_made_a_directory_is_removed() -> None:
    merged = merge_paths({"x": b"old", "z": b""}, {"z": b""}, {"x/a": b"1", "z": b""})
    assert merged == ({"z": b""}, {}, [("x", "modified", "removed")])


def test_a_file_that_they_removed_and_we_made_a_directory_is_ours() -> None:
    merged = merge_paths({"x": b"old", "z": b""}, {"x/a": b"1", "z": b""}, {"z": b""})
    assert merged == ({"x/a": b"1", "z": b""}, {}, [("x", "removed", "modified")])


def test_the_chunk_list_of_a_file_is_never_taken_for_a_tree(store: MemoryObjects) -> None:
    listed = Entry(b"x", FileKind.FILE, size=1 << 30, root=b"\1" * 32)
    base = build_volume(store, Volume(Directory({b"x": listed})))
    merged = merge(store, base, build(store, {"x/a": b"1"}), build(store, {"x/b": b"2"}))
    assert read_paths(store, merged.snapshot) == {"x/a": b"1", "x/b": b"2"}


def test_what_was_overridden_is_in_order_of_paths() -> None:
    base = {"z": b"1", "d/e/a": b"1", "b": b"1"}
    merged = merge_paths(base, dict.fromkeys(base, b"2"), dict.fromkeys(base, b"3"))
    assert [path for path, _, _ in merged.overridden] == ["b", "d/e/a", "z"]


# --- hard links --------------------------------------------------------------

LINKED: Paths = {"a": 1, "b": 1}


def test_links_made_on_both_sides_are_both_there() -> None:
    merged = merge_paths(
        LINKED, {**LINKED, "c": 1}, {**LINKED, "d": 1}, {1: b"x"}, {1: b"x"}, {1: b"x"}
    )
    assert merged == ({**LINKED, "c": 1, "d": 1}, {1: b"x"}, [])


def test_each_side_removes_another_name() -> None:
    """Nobody changed the file, so each may; no name is left, and no record."""
    merged = merge_paths(LINKED, {"a": 1}, {"b": 1}, {1: b"x"}, {1: b"x"}, {1: b"x"})
    assert merged == ({}, {}, [])


def test_each_side_removes_another_name_of_a_file_that_we_changed() -> None:
    merged = merge_paths(LINKED, {"a": 1}, {"b": 1}, {1: b"x"}, {1: b"new"}, {1: b"x"})
    assert merged.paths == {"a": 1}
    assert merged.records == {1: b"new"}


def test_content_changed_on_one_side_is_that() -> None:
    old, new = {1: b"old"}, {1: b"new"}
    more = {**LINKED, "c": 1}
    assert merge_paths(LINKED, LINKED, more, old, new, old) == (more, new, [])
    assert merge_paths(LINKED, more, LINKED, old, old, new) == (more, new, [])


def test_content_changed_on_both_is_ours() -> None:
    merged = merge_paths(LINKED, LINKED, LINKED, {1: b"old"}, {1: b"ours"}, {1: b"theirs"})
    assert merged.records == {1: b"ours"}
    assert merged.overridden == [("a", "modified", "modified"), ("b", "modified", "modified")]


def test_times_changed_by_us_alone_are_ours(store: MemoryObjects) -> None:
    def at(time: int, names: bytes) -> Snapshot:
        links: dict[bytes, Entry | Directory] = {
            bytes([n]): link_entry(bytes([n]), 1) for n in names
        }
        return build_volume(store, Volume(Directory(links), {1: file_entry(b"-", mtime_ns=time)}))

    base, touched, linked = at(5, b"ab"), at(3, b"ab"), at(5, b"abc")
    for ours, theirs in ((touched, linked), (linked, touched), (touched, base), (base, touched)):
        merged = read_volume(store, merge(store, base, ours, theirs).snapshot)
        assert merged.records[1].mtime_ns == 3


def test_content_changed_by_them_wins_over_times_changed_by_us(store: MemoryObjects) -> None:
    def volume(content: bytes, time: int) -> Snapshot:
        links: dict[bytes, Entry | Directory] = {b"a": link_entry(b"a", 1)}
        records = {1: file_entry(b"-", content, mtime_ns=time)}
        return build_volume(store, Volume(Directory(links), records))

    merged = merge(store, volume(b"old", 1), volume(b"old", 9), volume(b"new", 2))
    assert read_records(store, merged.snapshot) == {1: b"new"}
    assert merged.overridden == []


def test_a_linked_file_that_we_changed_and_they_removed_comes_back() -> None:
    base = {"d/a": 1, "d/b": 1, "z": b""}
    merged = merge_paths(base, base, {"z": b""}, {1: b"old"}, {1: b"new"}, {})
    assert merged.paths == base
    assert merged.records == {1: b"new"}
    assert merged.overridden == [("d/a", "removed", "modified"), ("d/b", "removed", "modified")]


def test_a_linked_file_that_they_replaced_and_we_changed_is_ours() -> None:
    """They saved it as editors do: a new file, renamed over the old name."""
    base = {"a": 1}
    merged = merge_paths(base, base, {"a": b"theirs"}, {1: b"old"}, {1: b"new"}, {})
    assert merged == (base, {1: b"new"}, [("a", "modified", "modified")])


def test_a_linked_file_that_we_removed_and_they_changed_is_removed_and_reported() -> None:
    base = {"a": 1, "b": 1, "z": b""}
    merged = merge_paths(base, {"z": b""}, base, {1: b"old"}, {}, {1: b"new"})
    assert merged.paths == {"z": b""}
    assert merged.records == {}
    assert merged.overridden == [("a", "modified", "removed"), ("b", "modified", "removed")]


def test_a_linked_file_that_they_moved_over_another_that_we_changed() -> None:
    """Bringing back one takes the last name of the other: both come back."""
    base = {"a": 2, "d/a": 1}
    new = {1: b"ours", 2: b"ours"}
    merged = merge_paths(base, base, {"a": 1}, {1: b"x", 2: b"x"}, new, {1: b"x"})
    assert merged.paths == base
    assert merged.records == new


def test_a_linked_file_that_they_moved_has_our_change() -> None:
    merged = merge_paths(LINKED, LINKED, {"c": 1}, {1: b"old"}, {1: b"new"}, {1: b"old"})
    assert merged.paths == {"c": 1}
    assert merged.records == {1: b"new"}


def test_a_directory_of_links_that_we_moved_and_they_removed_stays() -> None:
    """The records are in neither base's changes nor their link tree: they come from ours."""
    base = {"d/a": 1, "d/b": 1, "z": b""}
    moved = {"e/a": 1, "e/b": 1, "z": b""}
    assert merge_paths(base, moved, {"z": b""}, {1: b"x"}, {1: b"x"}, {}) == (moved, {1: b"x"}, [])
    assert merge_paths(base, {"z": b""}, moved, {1: b"x"}, {}, {1: b"x"}) == (moved, {1: b"x"}, [])


# --- limits ------------------------------------------------------------------

SMALL = Profile(1, max_inodes=10, max_entries=4)


def numbered(start: int, count: int) -> dict[str, bytes]:
    return {f"deep/d/{n}": b"" for n in range(start, start + count)}


def test_entries_of_both_sides_within_the_limit() -> None:
    merged = merge_paths(
        numbered(0, 1), numbered(0, 3), numbered(0, 1) | numbered(3, 1), profile=SMALL
    )
    assert merged.paths == numbered(0, 4)


def test_too_many_entries_name_the_directory() -> None:
    with pytest.raises(LimitError, match="deep/d: more than 4"):
        merge_paths(numbered(0, 1), numbered(0, 3), numbered(0, 1) | numbered(3, 2), profile=SMALL)


def test_a_removal_makes_room() -> None:
    merged = merge_paths(
        numbered(0, 2), numbered(1, 3), numbered(0, 2) | numbered(4, 1), profile=SMALL
    )
    assert merged.paths == numbered(1, 4)


def test_too_many_inodes() -> None:
    base = {"a": b"", "b": b""}
    ours = base | {f"x/{n}": b"" for n in range(3)}
    fits: dict[str, bytes] = base | {f"y/{n}": b"" for n in range(3)}
    assert len(merge_paths(base, ours, fits, profile=SMALL).paths) == 8
    with pytest.raises(LimitError, match="10 inodes"):
        merge_paths(base, ours, fits | {"y/9": b""}, profile=SMALL)


# --- cost --------------------------------------------------------------------


def test_cost_follows_the_changes(store: MemoryObjects) -> None:
    paths: dict[str, bytes | int | None] = {f"d{i}/f{j}": b"" for i in range(50) for j in range(50)}
    base = build(store, paths)
    ours = build(store, paths | {"d7/f7": b"1"})
    theirs = build(store, paths | {"d30/f30": b"2"})
    store.reset_counts()
    merge(store, base, ours, theirs)
    assert store.puts[Kind.TREE] == 1
    assert store.loads < 30


def test_directories_deeper_than_pythons_calls(store: MemoryObjects) -> None:
    depth = sys.getrecursionlimit() + 200

    def deep(name: bytes) -> Snapshot:
        node = Directory({name: file_entry(name)})
        entry = build_volume(store, Volume(node))
        for _ in range(depth):
            d = replace(entry.root, name=b"d")
            entry = build_volume(store, Volume(Directory({b"d": d})))
        return entry

    merged = merge(store, deep(b"z"), deep(b"a"), deep(b"b"))
    assert (merged.snapshot.totals.directories, merged.snapshot.totals.files) == (depth, 2)
