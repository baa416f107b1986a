"""Forks: volumes that begin as a version of another."""

from __future__ import annotations

import pytest

from tests.volume.shortcuts import list_paths, noise, publish_files, read_file
from volfs.errors import AlreadyExistsError, InvalidNameError, NotFoundError
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.history import create_tag, get_version, iter_history, load_manifest
from volfs.volume.restore import restore_version
from volfs.volume.volumes import create_volume, delete_volume, fork_volume

BIG = noise(200_000)


def fork(store: Store, volume: VolumeRecord, name: str = "copy", at: str = "head") -> VolumeRecord:
    return fork_volume(store, volume, name, get_version(store.refs, volume, at))


def test_a_fork_has_what_the_version_had(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": BIG, "d/f": b"1"})
    publish_files(store, volume, {"a": None})
    copy = fork(store, volume, at="1")
    assert read_file(store, copy, "a") == BIG
    assert list_paths(store, copy) == ["a", "d/", "d/f"]
    old = load_manifest(store.objects_of(volume.id), get_version(store.refs, volume, "1").manifest)
    assert (
        load_manifest(store.objects_of(volume.id), store.refs.get_head(copy.id).manifest).snapshot
        == old.snapshot
    )


def test_a_fork_says_where_it_came_from(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": b"1"})
    copy = fork(store, volume)
    (info,) = iter_history(store, copy)
    assert (info.version, info.message) == (1, "fork of data at version 1")
    first, second = (get_version(store.refs, copy, text).manifest for text in ("0", "1"))
    assert load_manifest(store.objects_of(volume.id), second).parent == first
    assert load_manifest(store.objects_of(volume.id), first).snapshot.totals.inodes == 0


def test_a_fork_is_a_volume_of_its_own(store: Store) -> None:
    source = create_volume(store, "source", profile=1, auto_commit=2.5, chunk_bits=16)
    copy = fork(store, source)
    assert copy.id != source.id
    assert (copy.profile, copy.auto_commit, copy.chunk_bits) == (1, 2.5, 16)
    publish_files(store, copy, {"theirs": b"1"})
    publish_files(store, source, {"ours": b"1"})
    assert (list_paths(store, source), list_paths(store, copy)) == (["ours"], ["theirs"])


def test_nothing_is_copied(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {f"{number}": noise(100_000, number) for number in range(20)})
    before = sum(path.stat().st_size for path in store_packs(store))
    fork(store, volume)
    assert sum(path.stat().st_size for path in store_packs(store)) - before < 2000


def store_packs(store: Store) -> list:
    from pathlib import Path

    return list((Path(store.url) / "packs").iterdir())


@pytest.mark.parametrize("deleted", ["data", "copy"])
def test_deleting_either_leaves_the_other_whole(
    store: Store, volume: VolumeRecord, deleted: str
) -> None:
    publish_files(store, volume, {"a": BIG})
    copy = fork(store, volume)
    delete_volume(store, deleted)
    left = volume if deleted == "copy" else copy
    assert read_file(store, left, "a") == BIG
    assert len(list(store.refs.iter_versions(left.id))) == 2


def test_tags_and_other_versions_stay_behind(store: Store, volume: VolumeRecord) -> None:
    for number in range(3):
        publish_files(store, volume, {"a": b"%d" % number})
    create_tag(store.refs, volume, "v", store.refs.get_head(volume.id))
    copy = fork(store, volume, at="v")
    assert store.refs.list_tags(copy.id) == []
    assert [head.version for head in store.refs.iter_versions(copy.id)] == [1, 0]


def test_a_fork_of_a_fork_and_of_nothing(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": BIG})
    again = fork(store, fork(store, volume), "again")
    assert read_file(store, again, "a") == BIG
    empty = fork(store, volume, "empty", at="0")
    assert list_paths(store, empty) == []
    restore_version(store, again, get_version(store.refs, again, "0"))
    assert list_paths(store, again) == []


def test_what_is_refused(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"a": b"1"})
    publish_files(store, volume, {"a": b"2"})
    with pytest.raises(AlreadyExistsError):
        fork(store, volume, "data")
    with pytest.raises(InvalidNameError):
        fork(store, volume, "a/b")
    old = get_version(store.refs, volume, "1")
    store.refs.remove_versions(volume.id, [1])
    with pytest.raises(NotFoundError, match="version 1 "):
        fork_volume(store, volume, "copy", old)
    assert [record.name for record in store.refs.list_volumes()] == ["data"]
