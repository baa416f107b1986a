"""Restoring a version, whole or some paths of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.volume.shortcuts import (
    Interloper,
    head_snapshot,
    list_paths,
    make_file,
    noise,
    publish_files,
    read_file,
)
from volfs.errors import NoEntryError, NotADirectoryInVolumeError, NotFoundError
from volfs.model.delta import Delta
from volfs.model.entry import Entry, FileKind, replace
from volfs.model.manifest import Snapshot
from volfs.model.names import parse_path
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.commit import CommitNote, Published
from volfs.volume.edit import Edit
from volfs.volume.gc import collect_garbage
from volfs.volume.history import get_version, load_manifest
from volfs.volume.restore import restore_version
from volfs.volume.version_reader import Reader

BIG = noise(200_000)
CHUNK = 1 << 16


def at(store: Store, volume: VolumeRecord, version: int) -> Snapshot:
    head = get_version(store.refs, volume, str(version))
    return load_manifest(store.objects_of(volume.id), head.manifest).snapshot


def restore(
    store: Any, volume: VolumeRecord, version: int, *paths: str, message: str = ""
) -> Published:
    old = get_version(store.refs, volume, str(version))
    return restore_version(
        store, volume, old, [parse_path(path) for path in paths], message=message
    )


def publish_links(
    store: Store, volume: VolumeRecord, names: dict[str, int], records: dict[int, bytes]
) -> None:
    """One version with hard links: names with their groups, and the files of these."""
    with Edit(store, volume) as edit:
        delta = Delta()
        for path, group in names.items():
            *above, name = parse_path(path)
            delta.at(tuple(above)).names[name] = Entry(name, FileKind.FILE, group=group)
        for group, data in records.items():
            pieces = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
            delta.records[group] = edit.writer.write_stream(make_file(), pieces)
        edit.commit_delta(delta, CommitNote())


# --- all of it ----------------------------------------------------------------


def test_the_new_version_is_equal_to_the_old_one(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": b"1", "d/e/f": BIG, "d/g": b"2"})
    publish_files(store, volume, {"a": b"other", "d/e": None, "new": b"3"})
    published = restore(store, volume, 1)
    assert (published.changed, published.head.version) == (True, 3)
    assert published.snapshot == head_snapshot(store, volume) == at(store, volume, 1)
    assert read_file(store, volume, "d/e/f") == BIG
    assert list_paths(store, volume) == ["a", "d/", "d/e/", "d/e/f", "d/g"]
    assert at(store, volume, 2) != at(store, volume, 1)
    assert published.new_objects == 1  # its manifest


def test_the_empty_version(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": b"1"})
    assert restore(store, volume, 0).snapshot == at(store, volume, 0)


def test_a_restored_version_is_restored_from(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": b"1"})
    restore(store, volume, 0)
    assert restore(store, volume, 1).head.version == 3
    assert at(store, volume, 3) == at(store, volume, 1)


def test_the_root_itself_means_all_of_it(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": b"1"})
    publish_files(store, volume, {"b": b"1"})
    assert restore(store, volume, 1, "/").snapshot == at(store, volume, 1)


def test_nothing_changed(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": b"1", "d/f": b"2"})
    for paths in ((), ("a",), ("d", "a")):
        published = restore(store, volume, 1, *paths)
        assert (published.changed, published.head.version) == (False, 1)


def test_messages(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": b"1"})
    publish_files(store, volume, {"a": b"2"})
    heads = [
        restore(store, volume, 1).head,
        restore(store, volume, 2, "a").head,
        restore(store, volume, 1, message="back").head,
    ]
    assert [
        load_manifest(store.objects_of(volume.id), head.manifest).message for head in heads
    ] == [
        "restore version 1",
        "restore version 2: a",
        "back",
    ]


def test_what_others_publish_meanwhile_is_before_it(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": b"1"})
    publish_files(store, volume, {"a": b"2"})
    crowded = Interloper(store, {"b": b"theirs"})
    published = restore(crowded, volume, 1)
    assert published.head.version == 4
    assert published.snapshot == at(store, volume, 1)
    assert (
        b"b"
        in Reader(store.objects_of(volume.id).load_object)
        .get_tree(at(store, volume, 3).root.tree)
        .entries
    )


def test_hard_links_come_back(store: Store, volume: VolumeRecord) -> None:
    publish_links(store, volume, {"x": 7, "y": 7, "z": 8, "u": 8}, {7: BIG, 8: b"eight"})
    publish_files(store, volume, {"x": None, "u": None, "z": None})
    publish_links(store, volume, {}, {7: b"changed"})
    assert restore(store, volume, 1).snapshot == at(store, volume, 1)


class Expiring(Interloper):
    """A store in which a version is expired right before the swap, if that may be."""

    def __init__(self, store: Store, volume: VolumeRecord, version: int) -> None:
        super().__init__(store)
        self.expired = volume.id, [version]

    def publish(self, *arguments: Any, **options: Any) -> None:
        assert self._store.refs.remove_versions(*self.expired) == []
        collect_garbage(self._store, grace=0)
        self._store.refs.publish(*arguments, **options)


@pytest.mark.parametrize("paths", [(), ("a",)])
def test_a_version_is_not_expired_meanwhile(
    store: Store, volume: VolumeRecord, paths: tuple[str, ...]
) -> None:
    for data in (BIG, b"2", b"3"):
        publish_files(store, volume, {"a": data})
    restore(Expiring(store, volume, 1), volume, 1, *paths)
    assert read_file(store, volume, "a") == BIG
    assert store.refs.remove_versions(volume.id, [1]) == [1]


@pytest.mark.parametrize("paths", [(), ("a",)])
def test_a_version_that_was_expired(
    store: Store, volume: VolumeRecord, paths: tuple[str, ...]
) -> None:
    """After it was found: its objects may be garbage by now."""
    for data in (b"1", b"2", b"3"):
        publish_files(store, volume, {"a": data})
    old = get_version(store.refs, volume, "1")
    store.refs.remove_versions(volume.id, [1])
    with pytest.raises(NotFoundError, match="version 1 is not there any more"):
        restore_version(store, volume, old, [parse_path(path) for path in paths])
    assert store.refs.get_head(volume.id).version == 3


# --- paths --------------------------------------------------------------------


def test_paths_alone(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": b"1", "b": b"1", "d/e/f": BIG, "d/g": b"1"})
    publish_files(store, volume, {"a": b"2", "b": b"2", "d": None, "d/n": b"2"})
    restore(store, volume, 1, "a", "d/e")
    assert list_paths(store, volume) == ["a", "b", "d/", "d/e/", "d/e/f", "d/n"]
    contents = [read_file(store, volume, path) for path in ("a", "b", "d/e/f")]
    assert contents == [b"1", b"2", BIG]


def test_a_directory_is_restored_whole(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"d/e/f": b"1", "d/g": b"1"})
    publish_files(store, volume, {"d/e/f": b"2", "d/e/n": b"2"})
    restore(store, volume, 1, "d")
    assert list_paths(store, volume) == ["d/", "d/e/", "d/e/f", "d/g"]
    assert read_file(store, volume, "d/e/f") == b"1"
    root, old = head_snapshot(store, volume).root, at(store, volume, 1).root
    get = Reader(store.objects_of(volume.id).load_object).get_tree
    assert get(root.tree).entries[b"d"] == get(old.tree).entries[b"d"]


def test_another_type_of_file_is_replaced(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": b"1", "d/f": b"1"})
    publish_files(store, volume, {"a": None, "d": None})
    publish_files(store, volume, {"a/f": b"2", "d": b"2"})
    restore(store, volume, 1, "a", "d")
    assert list_paths(store, volume) == ["a", "d/", "d/f"]


def test_directories_on_the_way_are_as_they_were(store: Store, volume: VolumeRecord) -> None:
    with Edit(store, volume) as edit:
        attributes = replace(make_file(0o700), kind=FileKind.DIRECTORY)
        edit.bind(edit.root, (b"d",), edit.new_directory(attributes))
        edit.put(parse_path("d/f"), make_file())
        edit.commit(CommitNote())
    publish_files(store, volume, {"d": None})
    restore(store, volume, 1, "d/f")
    entry = Reader(store.objects_of(volume.id).load_object).get_path(
        head_snapshot(store, volume), (b"d",)
    )
    assert entry.mode == 0o700


def test_what_the_version_does_not_have(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": b"1"})
    publish_files(store, volume, {"b": b"1"})
    with pytest.raises(NoEntryError, match="b: no such"):
        restore(store, volume, 1, "a", "b")
    assert store.refs.get_head(volume.id).version == 2


def test_a_file_where_a_directory_has_to_be(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"d/f": b"1"})
    publish_files(store, volume, {"d": None})
    publish_files(store, volume, {"d": b"file"})
    with pytest.raises(NotADirectoryInVolumeError, match="d: not a directory"):
        restore(store, volume, 1, "d/f")


def resolve(store: Store, volume: VolumeRecord, *paths: str) -> list[Entry]:
    reader, snapshot = Reader(store.objects_of(volume.id).load_object), head_snapshot(store, volume)
    return [reader.get_path(snapshot, parse_path(path)) for path in paths]


def test_a_hard_link_is_of_its_group_again(store: Store, volume: VolumeRecord) -> None:
    publish_links(store, volume, {"x": 7, "y": 7}, {7: BIG})
    publish_files(store, volume, {"x": None})
    restore(store, volume, 1, "x")
    x, y = resolve(store, volume, "x", "y")
    assert (x.group, y.group, x.links) == (7, 7, 2)


def test_a_group_that_changed_is_left_alone(store: Store, volume: VolumeRecord) -> None:
    """Restoring one name must not change the file under the others."""
    publish_files(store, volume, {"d/plain": b"p"})
    publish_links(store, volume, {"d/x": 7, "d/y": 7, "z": 7}, {7: BIG})
    publish_links(store, volume, {}, {7: b"changed"})
    restore(store, volume, 2, "d")
    x, y, z = resolve(store, volume, "d/x", "d/y", "z")
    assert x.group == y.group != z.group
    assert (x.links, z.links) == (2, 1)
    assert [read_file(store, volume, path) for path in ("d/x", "d/y", "z")] == [
        BIG,
        BIG,
        b"changed",
    ]


def test_a_group_that_is_gone_comes_back(store: Store, volume: VolumeRecord) -> None:
    publish_links(store, volume, {"x": 7, "y": 7}, {7: BIG})
    publish_files(store, volume, {"x": None, "y": None})
    restore(store, volume, 1, "x")
    (x,) = resolve(store, volume, "x")
    assert (x.group, x.links) == (7, 1)
    assert read_file(store, volume, "x") == BIG


def test_others_paths_stay(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": b"1"})
    publish_files(store, volume, {"a": b"2"})
    restore(Interloper(store, {"b": b"theirs"}), volume, 1, "a")
    assert [read_file(store, volume, path) for path in ("a", "b")] == [b"1", b"theirs"]
