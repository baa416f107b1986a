"""Trees nested deeper than Python's calls, with hard links in them: every operation gets through.

Names longer in all than 4096 bytes are out of reach for one path, but not for a
program that changes directory and goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.volume.shortcuts import Interloper, head_snapshot, make_file
from volfs.model.diff import diff_directories
from volfs.model.entry import Entry, FileKind
from volfs.model.manifest import Snapshot
from volfs.store.contract.care import GcReport
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.check import check_store
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit, EditedDirectory, make_directory_entry
from volfs.volume.gc import collect_garbage
from volfs.volume.listing import iter_listing
from volfs.volume.restore import restore_version
from volfs.volume.version_reader import Reader
from volfs.volume.volumes import fork_volume

DEPTH = sys.getrecursionlimit() + 100
GROUP = 7


@pytest.fixture
def deep(store: Store, volume: VolumeRecord) -> Head:
    """Version 1: ``d/d/d/…``, at the bottom two names of one file."""
    with Edit(store, volume) as edit:
        bottom = make_chain(edit, edit.root)
        for name in (b"one", b"two"):
            bottom.bind(name, Entry(name, FileKind.FILE, group=GROUP))
        edit.records[GROUP] = make_file()
        return edit.commit(CommitNote()).head


def make_chain(edit: Edit, here: EditedDirectory, name: bytes = b"d") -> EditedDirectory:
    for _ in range(DEPTH):
        below = edit.new_directory(make_directory_entry())
        here.bind(name, below)
        here = below
    return here


def path_of(*names: bytes, depth: int = DEPTH) -> tuple[bytes, ...]:
    return (*(b"d",) * depth, *names)


def iter_names(snapshot: Snapshot, store: Store, volume: VolumeRecord) -> Iterator[str]:
    reader = Reader(store.objects_of(volume.id).load_object)
    for found in iter_listing(reader, snapshot, (), recursive=True):
        yield found.path


def test_copies_moves_and_removals(store: Store, volume: VolumeRecord, deep: Head) -> None:
    with Edit(store, volume) as edit:
        edit.copy((b"d",), (b"copy",), recursive=True)
        edit.copy((b"copy",), (b"d",), recursive=True)
        edit.move((b"copy",), (b"moved",))
        edit.commit(CommitNote())
    snapshot = head_snapshot(store, volume)
    assert snapshot.totals.directories == 2 * DEPTH
    assert not snapshot.links, "copies of hard links are files of their own"
    with Edit(store, volume) as edit:
        edit.remove((b"moved",), recursive=True)
        edit.remove(path_of(b"two"))
        edit.commit(CommitNote())
    assert head_snapshot(store, volume).totals.files == 1
    assert check_store(store).is_clean


def test_lists_and_differences(store: Store, volume: VolumeRecord, deep: Head) -> None:
    snapshot = head_snapshot(store, volume)
    assert sum(1 for _ in iter_names(snapshot, store, volume)) == DEPTH + 2
    get = Reader(store.objects_of(volume.id).load_object).get_tree
    empty = store.refs.find_version(volume.id, 0)
    assert empty is not None
    old = Reader(store.objects_of(volume.id).load_object).load_manifest(empty).snapshot
    assert sum(1 for _ in diff_directories(get, old.root.tree, snapshot.root.tree)) == DEPTH + 2


@pytest.mark.parametrize("paths", [(), ((b"d",),), (path_of(depth=DEPTH - 1),)], ids=len)
def test_restores(
    store: Store, volume: VolumeRecord, deep: Head, paths: tuple[tuple[bytes, ...], ...]
) -> None:
    with Edit(store, volume) as edit:
        edit.remove(paths[0] if paths else (b"d",), recursive=True)
        edit.commit(CommitNote())
    restore_version(store, volume, deep, paths)
    snapshot = head_snapshot(store, volume)
    assert snapshot.totals.directories == DEPTH
    assert snapshot.link_files == 1
    assert check_store(store).is_clean


def test_merges(store: Store, volume: VolumeRecord, deep: Head) -> None:
    """Both sides change the bottom, and one makes a chain of its own."""
    with Edit(store, volume) as other:
        other.put(path_of(b"theirs"), make_file())
        make_chain(other, other.root, b"c")
        with Edit(store, volume) as edit:
            edit.put(path_of(b"ours"), make_file())
            edit.commit(CommitNote())
        other.commit(CommitNote())
    snapshot = head_snapshot(store, volume)
    assert snapshot.totals.directories == 2 * DEPTH
    reader = Reader(store.objects_of(volume.id).load_object)
    for name in (b"ours", b"theirs", b"one"):
        assert reader.get_path(snapshot, path_of(name)).kind == FileKind.FILE
    assert check_store(store).is_clean


def test_races_are_won(store: Store, volume: VolumeRecord, deep: Head) -> None:
    racing = Interloper(store, {"x": b"1"}, {"y": b"2"})
    with Edit(racing, volume) as edit:  # type: ignore[arg-type]
        edit.put(path_of(b"ours"), make_file())
        assert edit.commit(CommitNote()).head.version == 4


def test_gc_and_forks(store: Store, volume: VolumeRecord, deep: Head) -> None:
    fork_volume(store, volume, "fork", deep)
    store.refs.delete_volume(volume.name)
    assert isinstance(collect_garbage(store, grace=0.0), GcReport)
    fork = store.refs.get_volume("fork")
    assert sum(1 for _ in iter_names(head_snapshot(store, fork), store, fork)) == DEPTH + 2
    assert check_store(store).is_clean
