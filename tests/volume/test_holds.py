"""Operations that read a version to its end, whatever is expired and collected meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.volume.shortcuts import noise, publish_files, put_bytes, read_file
from volfs.errors import NotFoundError
from volfs.model.changes import iter_changes
from volfs.model.names import Path, join_path
from volfs.model.retention import KeepRules
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.expire import expire_versions
from volfs.volume.gc import collect_garbage
from volfs.volume.history import get_version, iter_history
from volfs.volume.leases import held_version
from volfs.volume.version_reader import Reader, iter_content_bytes
from volfs.volume.volumes import delete_volume, fork_volume

LONG = noise(3 << 20)
"""Three pieces, of which a reader has one at a time."""


def expire_all(store: Store, volume: VolumeRecord) -> list[int]:
    """Everything but the head goes, if it may, and what only that needed is deleted."""
    _, removed = expire_versions(store, volume, KeepRules(last=1))
    collect_garbage(store, grace=0)
    return removed


def read_held(store: Store, volume: VolumeRecord, path: Path) -> Iterator[bytes]:
    with held_version(store, volume, lambda: get_version(store.refs, volume, "1")) as head:
        reader = Reader(store.objects_of(volume.id).load_object)
        entry = reader.get_path(reader.load_manifest(head.manifest).snapshot, path)
        yield from map(bytes, iter_content_bytes(reader, store.objects_of(volume.id), entry))


@pytest.fixture
def old(store: Store, volume: VolumeRecord) -> VolumeRecord:
    """Version 1 has a long file, version 2 has another one under its name."""
    publish_files(store, volume, {"f": LONG})
    publish_files(store, volume, {"f": b"short"})
    return volume


def test_a_file_of_a_version_that_is_to_expire(store: Store, old: VolumeRecord) -> None:
    pieces = read_held(store, old, (b"f",))
    read = next(pieces)
    assert expire_all(store, old) == []
    assert [v.reasons for v in expire_versions(store, old, KeepRules(last=1))[0]] == [
        ("last", "head"),
        ("being read",),
    ]
    read += next(pieces)
    assert expire_all(store, old) == []
    assert read + b"".join(pieces) == LONG
    before = collect_garbage(store, dry_run=True).live_bytes
    assert expire_all(store, old) == [1]
    assert before - collect_garbage(store).live_bytes > len(LONG)


def test_a_file_of_a_volume_that_is_deleted(store: Store, old: VolumeRecord) -> None:
    pieces = read_held(store, old, (b"f",))
    read = next(pieces)
    delete_volume(store, old.name)
    assert collect_garbage(store, grace=0).live_bytes > len(LONG)
    assert read + b"".join(pieces) == LONG
    assert collect_garbage(store, grace=0).live_objects == 0


def test_a_reader_that_was_left_half_way_holds_nothing(store: Store, old: VolumeRecord) -> None:
    pieces = read_held(store, old, (b"f",))
    next(pieces)
    del pieces
    assert expire_all(store, old) == [1]


def test_a_diff_of_versions_that_are_to_expire(store: Store, volume: VolumeRecord) -> None:
    """Trees are loaded as they are reached."""
    for number in (1, 2):
        publish_files(store, volume, {f"d{n}/f": b"%d" % (n * number) for n in range(1, 9)})
    publish_files(store, volume, {f"d{n}": None for n in range(1, 9)})
    reader = Reader(store.objects_of(volume.id).load_object)
    with (
        held_version(store, volume, lambda: get_version(store.refs, volume, "1")) as a,
        held_version(store, volume, lambda: get_version(store.refs, volume, "2")) as b,
    ):
        before, after = (reader.load_manifest(head.manifest).snapshot for head in (a, b))
        changes = iter_changes(reader.get_tree, before, after)
        found = [next(changes).path]
        assert expire_all(store, volume) == []
        found += [change.path for change in changes]
    files = [join_path(path).decode() for path in found if path[-1] == b"f"]
    assert files == [f"d{n}/f" for n in range(1, 9)]
    assert expire_all(store, volume) == [1, 2]


def test_an_edit_whose_base_is_to_expire(store: Store, old: VolumeRecord) -> None:
    """Others publish while it writes: what it began from stays until it is published."""
    with Edit(store, old) as edit:
        publish_files(store, old, {"g": b"theirs"})
        assert expire_all(store, old) == [1]
        put_bytes(edit, "h", b"ours")
        edit.commit(CommitNote())
    assert [read_file(store, old, path) for path in "fgh"] == [b"short", b"theirs", b"ours"]
    assert expire_all(store, old) == [2, 3]


def test_a_fork_of_a_version_that_was_expired(store: Store, old: VolumeRecord) -> None:
    first = get_version(store.refs, old, "1")
    assert expire_all(store, old) == [1]
    with pytest.raises(NotFoundError, match="version 1 is not there any more"):
        fork_volume(store, old, "fork", first)


def test_the_head_is_found_again_if_it_was_expired(store: Store, old: VolumeRecord) -> None:
    found = iter([get_version(store.refs, old, "1"), get_version(store.refs, old, "head")])
    assert expire_all(store, old) == [1]
    with held_version(store, old, lambda: next(found)) as head:
        assert head.version == 2
    gone = Head(1, head.manifest)
    with pytest.raises(NotFoundError), held_version(store, old, lambda: gone):
        pass


def test_history_leaves_out_what_is_expired_meanwhile(store: Store, old: VolumeRecord) -> None:
    history = iter_history(store, old)
    assert next(history).version == 2
    assert expire_all(store, old) == [1]
    assert list(history) == []
