"""gc beside living mounts: what they show and what their overlays lie on stays."""

from __future__ import annotations

import os

import pytest

from tests.harness.mounted import Mounted, Mounts
from tests.volume.shortcuts import noise, publish_files
from volfs.errors import StoreUnavailableError
from volfs.store.registry import rebuild_index
from volfs.volume.check import check_store
from volfs.volume.gc import collect_garbage

pytestmark = pytest.mark.fuse


def test_a_mount_keeps_what_it_shows_and_commits_on_it(mounts: Mounts) -> None:
    publish_files(mounts.store, mounts.volume, {"old": noise(300_000), "d/kept": noise(5000, 1)})
    mounts.expect("overrides theirs")
    mounted = mounts.mount()
    with (mounted.path / "old").open("r+b") as file:
        file.write(b"changed")
    publish_files(mounts.store, mounts.volume, {"old": None, "new": noise(9000, 2)})
    publish_files(mounts.store, mounts.volume, {"d": None})
    mounts.store.refs.remove_versions(mounts.volume.id, range(mounts.version))
    collect_garbage(mounts.store, grace=0)
    assert (mounted.path / "d" / "kept").read_bytes() == noise(5000, 1)
    mounted.commit()
    assert (mounted.path / "old").read_bytes() == b"changed" + noise(300_000)[7:]
    collect_garbage(mounts.store, grace=0)
    mounted.reload()
    assert (mounted.path / "new").read_bytes() == noise(9000, 2)
    assert (mounted.path / "old").read_bytes() == b"changed" + noise(300_000)[7:]
    mounted.unmount()
    collect_garbage(mounts.store, grace=0)
    assert check_store(mounts.store).is_clean


def test_what_a_dead_mount_left_is_kept(mounts: Mounts) -> None:
    publish_files(mounts.store, mounts.volume, {"old": noise(300_000)})
    mounted = mounts.mount()
    with (mounted.path / "old").open("r+b") as file:
        file.write(b"changed")
    mounted.commit()
    with (mounted.path / "more").open("wb") as file:
        file.write(b"not committed")
        file.flush()
        os.fsync(file.fileno())
    mounted.kill()
    publish_files(mounts.store, mounts.volume, {"old": None})
    mounts.store.refs.remove_versions(mounts.volume.id, range(mounts.version))
    collect_garbage(mounts.store, grace=0)
    again = mounts.mount(mounted.path)
    assert (again.path / "old").read_bytes() == b"changed" + noise(300_000)[7:]
    again.unmount()
    collect_garbage(mounts.store, grace=0)
    assert check_store(mounts.store).is_clean


def test_a_mounted_store_is_not_rebuilt(mounts: Mounts, mounted: Mounted) -> None:
    url = mounts.store.url
    mounts.close_store()
    with pytest.raises(StoreUnavailableError, match="in use"):
        rebuild_index(url)
    mounted.unmount()
    rebuild_index(url)
