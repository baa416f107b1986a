"""What users are told of a difference: kinds, sums, hard links."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.harness.memory import MemoryObjects
from tests.model.builders import (
    Directory,
    Volume,
    build,
    build_volume,
    file_entry,
)
from tests.model.strategies import volumes
from volfs.model.changes import Change, ChangeKind, ChangeTally, iter_changes, tally_changes
from volfs.model.entry import Entry, FileKind
from volfs.model.manifest import Snapshot


def told(store: MemoryObjects, a: Snapshot, b: Snapshot) -> list[str]:
    return [show(change) for change in iter_changes(store.get_tree, a, b)]


def show(change: Change) -> str:
    return f"{change.kind.value} {'/'.join(name.decode() for name in change.path) or '.'}"


def one_file(store: MemoryObjects, entry: Entry) -> Snapshot:
    return build_volume(store, Volume(Directory({b"f": entry})))


def test_every_kind_in_order_of_paths(store: MemoryObjects) -> None:
    a = build(store, {"gone/f": b"1", "same": b"x", "t": b"file", "v": b"old"})
    b = build(store, {"new": b"1", "same": b"x", "t/in": b"2", "v": b"new"})
    expected = ["D gone", "D gone/f", "A new", "T t", "A t/in", "M v"]
    assert told(store, a, b) == expected


@pytest.mark.parametrize(
    ("changes", "kind", "names"),
    [
        ({"mode": 0o600}, "U", ["mode"]),
        ({"uid": 5}, "U", ["owner"]),
        ({"gid": 5, "mtime_ns": 7}, "U", ["owner", "mtime"]),
        ({"xattrs": ((b"user.a", b"1"),)}, "U", ["xattrs"]),
        ({"ctime_ns": 7}, "", []),
    ],
)
def test_attributes_are_told_apart(
    store: MemoryObjects, changes: dict[str, object], kind: str, names: list[str]
) -> None:
    entry = file_entry(b"f", b"x")
    a = one_file(store, entry)
    values = {field: getattr(entry, field) for field in entry.__struct_fields__}
    b = one_file(store, Entry(**values | changes))  # type: ignore[arg-type]
    found = list(iter_changes(store.get_tree, a, b))
    assert [(change.kind.value, change.attributes) for change in found] == (
        [(kind, names)] if kind else []
    )


def test_content_and_attributes_are_one_change(store: MemoryObjects) -> None:
    a = one_file(store, file_entry(b"f", b"x"))
    b = one_file(store, file_entry(b"f", b"y", mtime_ns=7, uid=3))
    (change,) = iter_changes(store.get_tree, a, b)
    assert (change.kind, change.attributes) == (ChangeKind.MODIFIED, ["owner", "mtime"])


def test_the_root_has_attributes_and_directories_no_times(store: MemoryObjects) -> None:
    a = build_volume(store, Volume(Directory({b"d": Directory({})})))
    b = build_volume(store, Volume(Directory({b"d": Directory({}, mtime_ns=1)}, 0o700, 9)))
    assert told(store, a, b) == ["U ."]


def test_a_hard_linked_file_that_changed_changes_under_all_names(store: MemoryObjects) -> None:
    names: dict[str, bytes | int | None] = {"a/x": 1, "b": 1, "c": 2}
    a = build(store, names, {1: b"old", 2: b"same"})
    b = build(store, names, {1: b"new", 2: b"same"})
    assert told(store, a, b) == ["M a/x", "M b"]


def test_another_link_is_an_added_name(store: MemoryObjects) -> None:
    a = build(store, {"a": 1, "z": 1}, {1: b"old"})
    b = build(store, {"a": 1, "m": 1, "z": 1}, {1: b"old"})
    store.reset_counts()
    assert told(store, a, b) == ["A m"]
    c = build(store, {"a": 1, "m": 1, "z": b"mine"}, {1: b"new"})
    assert told(store, b, c) == ["M a", "M m", "M z"]


def test_becoming_a_hard_link_is_no_change_of_the_file(store: MemoryObjects) -> None:
    a = build(store, {"a": b"same"})
    b = build(store, {"a": 1, "b": 1}, {1: b"same"})
    assert told(store, a, b) == ["A b"]


def test_sums(store: MemoryObjects) -> None:
    a = build(store, {"gone": b"12345", "f": b"123", "t": b"12"})
    b = build(store, {"d/e/f": b"1", "d/g": b"22", "f": b"12345", "t": None})
    tallies = tally_changes(iter_changes(store.get_tree, a, b))
    assert tallies == {
        ChangeKind.ADDED: ChangeTally(2, 2, 3),
        ChangeKind.DELETED: ChangeTally(1, 0, -5),
        ChangeKind.MODIFIED: ChangeTally(1, 0, 2),
        ChangeKind.TYPE_CHANGED: ChangeTally(0, 1, -2),
        ChangeKind.ATTRIBUTES: ChangeTally(),
    }


@given(volumes(), volumes())
def test_changes_are_in_order_and_say_what_is_on_both_sides(a: Volume, b: Volume) -> None:
    store = MemoryObjects()
    changes = list(iter_changes(store.get_tree, build_volume(store, a), build_volume(store, b)))
    flat, expected = flatten(a), flatten(b)
    assert [change.path for change in changes] == sorted({change.path for change in changes})
    for change in changes:
        assert flat.get(change.path) == facts(change.old)
        assert expected.get(change.path) == facts(change.new)
        assert flat.get(change.path) != expected.get(change.path)
    told = {change.path for change in changes}
    assert {p for p in flat | expected if flat.get(p) != expected.get(p)} == told


@given(volumes(), volumes())
def test_the_sum_is_what_the_sizes_differ_by(a: Volume, b: Volume) -> None:
    store = MemoryObjects()
    changes = iter_changes(store.get_tree, build_volume(store, a), build_volume(store, b))
    grown = sum(tally.bytes for tally in tally_changes(changes).values())
    assert grown == weigh(b) - weigh(a)


def facts(entry: Entry | None) -> object:
    if entry is None:
        return None
    if entry.is_directory:
        return entry.mode
    return entry.inline, entry.mode, entry.mtime_ns


def flatten(volume: Volume) -> dict[tuple[bytes, ...], object]:
    """Path → what a diff tells of it."""
    flat: dict[tuple[bytes, ...], object] = {}

    def walk(directory: Directory, path: tuple[bytes, ...]) -> None:
        flat[path] = directory.mode
        for name, node in directory.names.items():
            if isinstance(node, Directory):
                walk(node, (*path, name))
            else:
                flat[*path, name] = facts(volume.records[node.group] if node.group else node)

    walk(volume.root, ())
    return flat


def weigh(volume: Volume) -> int:
    return sum(len(what[0]) for what in flatten(volume).values() if isinstance(what, tuple))


def test_only_what_differs_is_read(store: MemoryObjects) -> None:
    paths: dict[str, bytes | int | None] = {
        f"d{i}/f{j}": b"x" for i in range(30) for j in range(30)
    }
    a = build(store, paths | {"h": 1, "k": 1}, {1: b"linked"})
    b = build(store, paths | {"h": 1, "k": 1, "d7/f7": b"changed"}, {1: b"linked"})
    store.reset_counts()
    assert told(store, a, b) == ["M d7/f7"]
    assert store.loads < 12


def test_kinds_of_files_differ(store: MemoryObjects) -> None:
    link = Entry(b"f", FileKind.SYMLINK, 0o777, size=1, inline=b"x")
    a, b = one_file(store, file_entry(b"f", b"x")), one_file(store, link)
    assert told(store, a, b) == ["T f"]
