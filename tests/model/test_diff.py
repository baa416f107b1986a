"""Differences between two versions, by path."""

from __future__ import annotations

from hypothesis import given

from tests.harness.memory import MemoryObjects
from tests.model.builders import Directory, Volume, build, build_volume, read_volume
from tests.model.strategies import volumes
from volfs.model.diff import PathChange, diff_directories
from volfs.model.entry import Entry, replace
from volfs.model.manifest import Snapshot


def diff(store: MemoryObjects, a: Snapshot, b: Snapshot) -> list[PathChange]:
    return list(diff_directories(store.get_tree, a.root.tree, b.root.tree))


def flatten(directory: Directory, above: tuple[bytes, ...] = ()) -> dict[tuple[bytes, ...], object]:
    """Path → entry, or a directory's mode: what a diff tells apart."""
    flat: dict[tuple[bytes, ...], object] = {}
    for name, node in directory.names.items():
        path = (*above, name)
        flat[path] = node if isinstance(node, Entry) else node.mode
        if isinstance(node, Directory):
            flat |= flatten(node, path)
    return flat


def own(entry: Entry | None) -> object:
    return entry.mode if entry and entry.is_directory else entry


@given(volumes(), volumes())
def test_applying_the_difference_gives_the_other(a: Volume, b: Volume) -> None:
    store = MemoryObjects()
    changes = diff(store, build_volume(store, a), build_volume(store, b))
    flat, expected = flatten(a.root), flatten(b.root)
    for path, old, new in changes:
        assert flat.get(path) == own(old)
        assert expected.get(path) == own(new)
        flat.pop(path, None)
        if new is not None:
            flat[path] = own(new)
    assert flat == expected


@given(volumes(), volumes())
def test_changes_are_in_order_and_each_is_one(a: Volume, b: Volume) -> None:
    store = MemoryObjects()
    one, two = build_volume(store, a), build_volume(store, b)
    changes = diff(store, one, two)
    paths = [change.path for change in changes]
    assert paths == sorted(set(paths))
    assert all(own(change.old) != own(change.new) for change in changes)
    assert diff(store, two, one) == [PathChange(c.path, c.new, c.old) for c in changes]


@given(volumes())
def test_nothing_differs_from_itself(volume: Volume) -> None:
    store = MemoryObjects()
    snapshot = build_volume(store, volume)
    store.reset_counts()
    assert diff(store, snapshot, snapshot) == []
    assert store.loads == 0
    assert read_volume(store, snapshot).root.names.keys() == volume.root.names.keys()


def test_a_directory_that_becomes_a_file_takes_its_names_along(store: MemoryObjects) -> None:
    a = build(store, {"x/y/z": b"1"})
    b = build(store, {"x": b"2"})
    assert [(c.path, c.old is None, c.new is None) for c in diff(store, a, b)] == [
        ((b"x",), False, False),
        ((b"x", b"y"), False, True),
        ((b"x", b"y", b"z"), False, True),
    ]


def test_attributes_of_directories_count(store: MemoryObjects) -> None:
    a = build_volume(store, Volume(Directory({b"d": Directory({}, 0o755)})))
    b = build_volume(store, Volume(Directory({b"d": Directory({}, 0o700)})))
    assert [change.path for change in diff(store, a, b)] == [(b"d",)]


def test_times_of_directories_do_not_count(store: MemoryObjects) -> None:
    a = build_volume(store, Volume(Directory({b"d": Directory({}, mtime_ns=1)})))
    b = build_volume(store, Volume(Directory({b"d": Directory({}, mtime_ns=2)})))
    assert a != b
    assert diff(store, a, b) == []


def test_only_what_differs_is_read(store: MemoryObjects) -> None:
    paths = {f"d{i}/f{j}": b"x" for i in range(30) for j in range(30)}
    a = build(store, dict(paths))
    b = build(store, paths | {"d7/f7": b"changed"})
    store.reset_counts()
    (change,) = diff(store, a, b)
    assert change.path == (b"d7", b"f7")
    assert change.new == replace(change.new, inline=b"changed", size=7) if change.new else False
    assert store.loads < 12
