"""Edits: cp, mv, rm and put as a user of a shell expects them, each one version."""

from __future__ import annotations

import pytest

from tests.volume.shortcuts import (
    head_snapshot,
    list_paths,
    make_file,
    publish_files,
    put_bytes,
    read_file,
)
from volfs.errors import (
    DirectoryNotEmptyError,
    EntryExistsError,
    InvalidPathError,
    IsADirectoryInVolumeError,
    LimitError,
    NoEntryError,
    NotADirectoryInVolumeError,
)
from volfs.model.delta import Delta, DirectoryDelta
from volfs.model.entry import Entry, FileKind, replace
from volfs.model.names import parse_path
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.commit import CommitNote, CommitTarget, DeltaBase, commit_delta
from volfs.volume.edit import Edit
from volfs.volume.version_reader import Reader

FILES: dict[str, bytes | None] = {"a/b/c": b"c" * 3000, "a/d": b"d", "e": b"e"}


@pytest.fixture
def filled(store: Store, volume: VolumeRecord) -> VolumeRecord:
    publish_files(store, volume, FILES)
    return volume


def run(store: Store, volume: VolumeRecord, verb: str, *paths: str, **options: bool) -> list[str]:
    with Edit(store, volume) as edit:
        getattr(edit, verb)(*map(parse_path, paths), **options)
        edit.commit(CommitNote())
    return list_paths(store, volume)


def test_put_makes_directories_and_each_publish_is_one_version(
    store: Store, filled: VolumeRecord
) -> None:
    assert list_paths(store, filled) == ["a/", "a/b/", "a/b/c", "a/d", "e"]
    assert store.refs.get_head(filled.id).version == 1
    assert head_snapshot(store, filled).totals[:3] == (3, 2, 3002)


def test_find_sees_the_changes_made_here(store: Store, filled: VolumeRecord) -> None:
    with Edit(store, filled) as edit:
        edit.remove((b"a", b"d"))
        edit.put((b"x", b"y"), make_file())
        assert edit.find((b"a", b"d")) is None
        assert edit.find((b"gone", b"d")) is None
        assert edit.get((b"x",)).is_directory
        with pytest.raises(NotADirectoryInVolumeError):
            edit.find((b"e", b"below"))
        assert [name for name, _ in edit.root.iter_items()] == [b"a", b"e", b"x"]


def test_put_refuses_directories_and_keeps_what_is_there_if_told(
    store: Store, filled: VolumeRecord
) -> None:
    with Edit(store, filled) as edit:
        with pytest.raises(IsADirectoryInVolumeError):
            edit.put((b"a",), make_file())
        with pytest.raises(EntryExistsError):
            edit.put((b"e",), make_file(), overwrite=False)
        with pytest.raises(NotADirectoryInVolumeError):
            edit.put((b"e", b"f"), make_file())
        with pytest.raises(InvalidPathError):
            edit.put((), make_file())


def test_removing_needs_recursive_for_directories(store: Store, filled: VolumeRecord) -> None:
    with Edit(store, filled) as edit:
        with pytest.raises(IsADirectoryInVolumeError):
            edit.remove((b"a",))
        with pytest.raises(NoEntryError, match="nope"):
            edit.remove((b"nope",))
    assert run(store, filled, "remove", "a", recursive=True) == ["e"]


def test_move_takes_changes_below_along(store: Store, filled: VolumeRecord) -> None:
    with Edit(store, filled) as edit:
        put_bytes(edit, "a/b/new", b"n")
        edit.remove((b"a", b"d"))
        edit.move((b"a",), (b"z",))
        edit.commit(CommitNote())
    assert list_paths(store, filled) == ["e", "z/", "z/b/", "z/b/c", "z/b/new"]
    assert read_file(store, filled, "z/b/c") == b"c" * 3000


def test_move_replaces_files_but_not_what_is_not_alike(store: Store, filled: VolumeRecord) -> None:
    with Edit(store, filled) as edit:
        for source, target, error in (
            ("a", "e", NotADirectoryInVolumeError),
            ("e", "a", IsADirectoryInVolumeError),
            ("a/b", "a", DirectoryNotEmptyError),
            ("a", "a/b/x", InvalidPathError),
            ("a", "a", InvalidPathError),
            ("nope", "x", NoEntryError),
            ("e", "no/such", NoEntryError),
        ):
            with pytest.raises(error):
                edit.move(parse_path(source), parse_path(target))
        assert not edit.commit(CommitNote()).changed
    assert run(store, filled, "move", "e", "a/d") == ["a/", "a/b/", "a/b/c", "a/d"]
    assert read_file(store, filled, "a/d") == b"e"


def test_a_copied_directory_shares_its_tree(store: Store, filled: VolumeRecord) -> None:
    with Edit(store, filled) as edit:
        edit.copy((b"a",), (b"twin",), recursive=True)
        published = edit.commit(CommitNote())
    reader = Reader(store.objects_of(filled.id).load_object)
    root = published.snapshot
    assert reader.get_path(root, (b"twin",)).tree == reader.get_path(root, (b"a",)).tree
    assert published.new_objects <= 2  # the root's tree and the manifest
    assert root.totals[:3] == (5, 4, 6003)


def test_copy_merges_into_a_directory_of_that_name(store: Store, filled: VolumeRecord) -> None:
    publish_files(store, filled, {"into/b/own": b"1", "into/d": b"old"})
    with Edit(store, filled) as edit:
        with pytest.raises(IsADirectoryInVolumeError):
            edit.copy((b"a",), (b"new",))
        edit.copy((b"a",), (b"into",), recursive=True)
        edit.commit(CommitNote())
    paths = list_paths(store, filled)
    assert [p for p in paths if p.startswith("into")] == [
        "into/", "into/b/", "into/b/c", "into/b/own", "into/d",
    ]  # fmt: skip
    assert read_file(store, filled, "into/d") == b"d"


def test_changing_a_copy_leaves_the_original(store: Store, filled: VolumeRecord) -> None:
    with Edit(store, filled) as edit:
        edit.copy((b"a",), (b"twin",), recursive=True)
        put_bytes(edit, "twin/b/c", b"changed")
        edit.remove((b"twin", b"d"))
        edit.commit(CommitNote())
    assert list_paths(store, filled) == [
        "a/", "a/b/", "a/b/c", "a/d", "e", "twin/", "twin/b/", "twin/b/c",
    ]  # fmt: skip
    assert read_file(store, filled, "a/b/c") == b"c" * 3000
    assert read_file(store, filled, "twin/b/c") == b"changed"


def link_twice(store: Store, volume: VolumeRecord) -> None:
    """A version with one file under two names, d/one and d/two."""
    record = replace(make_file(), name=b"%016x" % 7, size=5, inline=b"hello", group=0, links=2)
    directory = DirectoryDelta(Entry(b"d", FileKind.DIRECTORY, 0o755), start=b"")  # type: ignore[arg-type]
    for name in (b"one", b"two"):
        directory.names[name] = Entry(name, FileKind.FILE, group=7)
    delta = Delta(DirectoryDelta(names={b"d": directory}), {7: record})
    with Edit(store, volume) as edit:
        target = CommitTarget(store, edit.upload, volume)
        commit_delta(target, DeltaBase(edit.base), delta, CommitNote())


def test_a_moved_hard_link_stays_one_and_a_copied_one_does_not(
    store: Store, volume: VolumeRecord
) -> None:
    link_twice(store, volume)
    with Edit(store, volume) as edit:
        edit.move((b"d", b"one"), (b"moved",))
        edit.copy((b"d",), (b"copy",), recursive=True)
        edit.copy((b"moved",), (b"alone",))
        published = edit.commit(CommitNote())
    reader = Reader(store.objects_of(volume.id).load_object)
    groups = {
        path: reader.get_path(published.snapshot, parse_path(path)).group
        for path in ("moved", "d/two", "copy/two", "alone")
    }
    assert groups == {"moved": 7, "d/two": 7, "copy/two": 0, "alone": 0}
    assert reader.get_path(published.snapshot, (b"moved",)).links == 2
    for path in groups:
        assert read_file(store, volume, path) == b"hello"


def test_removing_one_name_of_a_hard_link_lowers_its_count(
    store: Store, volume: VolumeRecord
) -> None:
    link_twice(store, volume)
    run(store, volume, "remove", "d/one")
    reader = Reader(store.objects_of(volume.id).load_object)
    assert reader.get_path(head_snapshot(store, volume), (b"d", b"two")).links == 1
    assert run(store, volume, "remove", "d", recursive=True) == []
    assert head_snapshot(store, volume).totals[:3] == (0, 0, 0)


def test_the_entry_limit_holds_where_the_name_is_made(store: Store, volume: VolumeRecord) -> None:
    with Edit(store, volume) as edit:
        many = edit.make_directories((b"many",))
        for number in range(32_768):
            edit.bind(many, (b"many", b"%d" % number), make_file())
        with pytest.raises(LimitError, match="many"):
            edit.put((b"many", b"one more"), make_file())
        edit.put((b"many", b"7"), make_file())
        edit.remove((b"many", b"7"))
        edit.put((b"many", b"one more"), make_file())
        assert edit.commit(CommitNote()).snapshot.totals.files == 32_768


def test_names_changed_touch_their_directory_only(store: Store, filled: VolumeRecord) -> None:
    before = Reader(store.objects_of(filled.id).load_object)
    old = head_snapshot(store, filled)
    run(store, filled, "remove", "a/b/c")
    new = head_snapshot(store, filled)
    for path, changed in (((b"a", b"b"), True), ((b"a",), False), ((), False)):
        times = [before.get_path(snapshot, path).mtime_ns for snapshot in (old, new)]
        assert (times[0] != times[1]) is changed
