"""Sessions that are not in the store's directory, and stores that name the same ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.harness.mounted import Mounts
from volfs.daemon.named_mounts import find_volume_mounts, get_target
from volfs.errors import NotFoundError
from volfs.store.registry import open_store

pytestmark = pytest.mark.fuse
OLDER = """
from volfs.daemon import main
from volfs.daemon.sessions.opened import OpenSession
main.identify_session = lambda path: ""
OpenSession.write_device = lambda self, *arguments: None
"""
"""It notes no device, and its daemon does not say which session it has."""


def test_a_store_that_was_moved_has_its_mounts(mounts: Mounts, tmp_path: Path) -> None:
    """Whatever the daemon takes its path for, and whatever is there now."""
    mounted = mounts.mount()
    moved = tmp_path / "moved"
    mounts.close_store()
    mounts.store_path.rename(moved)
    shutil.copytree(moved, mounts.store_path)
    try:
        assert get_target("data", str(moved)).mount.path == str(mounted.path)
        with pytest.raises(NotFoundError):
            get_target("data", str(mounts.store_path))
    finally:
        shutil.rmtree(mounts.store_path)
        moved.rename(mounts.store_path)


def test_mounts_of_two_stores_with_the_same_ids(mounts: Mounts, tmp_path: Path) -> None:
    """A copy that is mounted itself, with sessions of the same names."""
    first = mounts.mount()
    copy = tmp_path / "copy"
    shutil.copytree(mounts.store_path, copy)
    second = mounts.mount(store=str(copy))
    for path, mounted in ((mounts.store_path, first), (copy, second)):
        assert get_target("data", str(path)).mount.path == str(mounted.path)
        store = open_store(str(path))
        found = find_volume_mounts(store, store.refs.get_volume("data"))
        store.close()
        living = [m.client.mount.path for m in found if m.session.alive]
        assert living == [str(mounted.path)]


def test_mounts_of_older_daemons(mounts: Mounts, tmp_path: Path) -> None:
    first = mounts.mount(prelude=OLDER)
    copy = tmp_path / "copy"
    shutil.copytree(mounts.store_path, copy)
    with pytest.raises(NotFoundError):
        get_target("data", str(copy))
    second = mounts.mount(prelude=OLDER, store=str(copy))
    assert get_target("data", str(mounts.store_path)).mount.path == str(first.path)
    assert get_target("data", str(copy)).mount.path == str(second.path)
