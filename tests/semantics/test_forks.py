"""The contract, sentence by sentence: bringing the changes of forks back."""

from __future__ import annotations

import pytest

from tests.harness.mounted import Mounts
from tests.volume.shortcuts import list_paths, publish_files, read_file
from volfs.errors import NotFoundError, OverriddenError
from volfs.model.retention import KeepRules
from volfs.store.contract.refs import VolumeRecord
from volfs.volume.expire import expire_versions
from volfs.volume.history import get_version
from volfs.volume.merging import MergeOptions, get_merge_target, merge_volume
from volfs.volume.volumes import fork_volume

pytestmark = pytest.mark.fuse


@pytest.fixture
def dev(mounts: Mounts) -> VolumeRecord:
    publish_files(mounts.store, mounts.volume, {"a": b"1", "b": b"1"})
    head = mounts.store.refs.get_head(mounts.volume.id)
    return fork_volume(mounts.store, mounts.volume, "dev", head)


def test_what_a_fork_has_changed_comes_back(mounts: Mounts, dev: VolumeRecord) -> None:
    """As one version, by path; mounts see it when they reload. Later only what is newer."""
    store, data = mounts.store, mounts.volume
    mounted = mounts.mount()
    (mounted.path / "ours").write_text("1")
    publish_files(store, dev, {"a": b"dev", "new": b"dev" * 100_000})
    merged = merge_volume(store, dev, get_merge_target(store, dev))
    assert (merged.before.version, merged.after.version) == (1, 2)
    assert (mounted.path / "a").read_bytes() == b"1"
    mounted.reload()
    assert (mounted.path / "new").read_bytes() == b"dev" * 100_000
    (mounted.path / "a").write_text("decided")
    assert mounted.commit().overridden == []
    assert not merge_volume(store, dev, data).is_published
    back = merge_volume(store, data, dev)
    assert (back.conflicts, list_paths(store, dev)) == ([], ["a", "b", "new", "ours"])
    again = merge_volume(store, dev, data, MergeOptions(since=get_version(store.refs, dev, "1")))
    assert read_file(store, data, "a") == b"decided"
    assert not again.is_published


def test_if_both_changed_a_path(mounts: Mounts, dev: VolumeRecord) -> None:
    """The fork's wins, or the other's; with fail and with a dry run nothing is published."""
    store, data = mounts.store, mounts.volume
    for name in "ab":
        publish_files(store, dev, {name: b"dev"})
        publish_files(store, data, {name: b"data"})
    with pytest.raises(OverriddenError):
        merge_volume(store, dev, data, MergeOptions(on_conflict="fail"))
    assert len(merge_volume(store, dev, data, MergeOptions(dry_run=True)).conflicts) == 2
    assert mounts.version == 3
    assert len(merge_volume(store, dev, data, MergeOptions(on_conflict="keep")).conflicts) == 2
    assert read_file(store, data, "a") == b"data"
    publish_files(store, dev, {"b": b"dev again"})
    publish_files(store, data, {"b": b"data again"})
    assert [c.path for c in merge_volume(store, dev, data).conflicts] == [(b"b",)]
    assert read_file(store, data, "b") == b"dev again"


def test_versions_of_merges_that_expire(mounts: Mounts, dev: VolumeRecord) -> None:
    """The fork's version at its last merge does not expire. Without a base the merge fails."""
    store, data = mounts.store, mounts.volume
    publish_files(store, dev, {"a": b"dev"})
    for volume in (dev, data):
        publish_files(store, volume, {f"{volume.name}-more": b"1"})
        expire_versions(store, volume, KeepRules(last=1))
    with pytest.raises(NotFoundError, match="was expired; name a version of dev"):
        merge_volume(store, dev, data)
    assert mounts.version == 2
    merge_volume(store, dev, data, MergeOptions(since=store.refs.get_head(dev.id)))
    publish_files(store, dev, {"b": b"dev"})
    for volume in (dev, data):
        expire_versions(store, volume, KeepRules(last=1))
    assert [c.path for c in merge_volume(store, dev, data).changes] == [(b"b",)]
