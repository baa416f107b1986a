"""The contract, sentence by sentence: who else is on the machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.harness.mounted import Mounted, Mounts
from volfs.daemon.named_mounts import find_targets, get_target
from volfs.errors import MountError, NotFoundError, VolfsError

pytestmark = pytest.mark.fuse


def test_a_name_is_of_the_store_in_force(mounts: Mounts, mounted: Mounted, tmp_path: Path) -> None:
    """Acts on mounts of that volume in that store, and on no other's."""
    assert get_target("data", mounts.address).mount.path == str(mounted.path)
    copy = tmp_path / "copy"
    shutil.copytree(mounts.store_path, copy)
    for find in (get_target, find_targets):
        with pytest.raises(NotFoundError, match="nor a mounted volume of the store"):
            find("data", str(copy))


def test_a_mount_point_needs_no_store(mounts: Mounts, mounted: Mounted) -> None:
    """By its mount point a mount is reached whatever its store, and no store is opened."""
    (mounted.path / "f").touch()
    for store in ("/nowhere", "/proc/self/status"):
        with pytest.raises(VolfsError, match="reached by its mount point"):
            get_target("data", store)
        assert get_target(str(mounted.path), store).status().dirty_files > 0


def test_who_is_answered_and_who_is_believed(mounts: Mounts, mounted: Mounted) -> None:
    """A command believes a daemon in a directory that nobody else can change."""
    mounts.runtime.chmod(0o770)
    with pytest.raises(MountError, match=f"others may write to {mounts.runtime}"):
        mounted.commit()
    mounts.runtime.chmod(0o700)
    path = mounted.client.mount.socket
    os.chown(path, 1000, 1000)
    with pytest.raises(MountError, match="belongs to another user"):
        mounted.commit()
    os.chown(path, 0, 0)
    assert mounted.commit().version == 0
