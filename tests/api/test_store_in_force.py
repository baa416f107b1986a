"""``commit`` and ``reload`` of a handle act on the mounts of its store, and on no other's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import volfs as modal
from tests.harness.fixtures import mounts
from tests.harness.mounted import Mounts
from volfs.api.client import Client
from volfs.containers.container import Container, ContainerSpec, VolumeMount
from volfs.sessions.facts import DEVICE

__all__ = ["mounts"]
pytestmark = pytest.mark.fuse


@pytest.fixture
def elsewhere(mounts: Mounts, tmp_path: Path) -> Iterator[Mounts]:
    """Another store with a volume ``data``, under the same runtime directory."""
    directory = tmp_path / "elsewhere"
    directory.mkdir()
    other = Mounts(directory)
    other.runtime = mounts.runtime
    other.environment["VOLFS_RUNTIME_DIR"] = str(mounts.runtime)
    other.create()
    try:
        yield other
    finally:
        other.close()


def volume_of(mounts: Mounts | Path) -> modal.Volume:
    store = mounts if isinstance(mounts, Path) else mounts.store_path
    return modal.Volume.from_name("data", client=Client(str(store)))


def test_a_handle_has_the_mounts_of_its_store(mounts: Mounts, elsewhere: Mounts) -> None:
    ours, theirs = mounts.mount(), elsewhere.mount()
    for mounted in (ours, theirs):
        (mounted.path / "f").touch()
    assert volume_of(mounts).commit().version == 1
    assert theirs.status().dirty_files > 0
    volume_of(elsewhere).reload()
    assert (ours.status().version, theirs.status().version) == (1, 0)
    with pytest.raises(RuntimeError, match=f"sees no mount of data at {theirs.path}"):
        volume_of(mounts).commit(mountpoint=str(theirs.path))


def test_only_another_stores_mount(mounts: Mounts, elsewhere: Mounts, tmp_path: Path) -> None:
    theirs = elsewhere.mount()
    (theirs.path / "f").touch()
    copy = tmp_path / "copy"
    shutil.copytree(elsewhere.store_path, copy)
    for volume in (volume_of(mounts), volume_of(copy)):
        for act in (volume.commit, volume.reload):
            with pytest.raises(RuntimeError, match="sees no mount of data"):
                act()
    assert theirs.status().dirty_files > 0
    assert theirs.status().version == 0


def test_a_session_that_names_another_ones_mount(mounts: Mounts, elsewhere: Mounts) -> None:
    """Its own mount has gone, say, and the number is another's by now."""
    ours, theirs = mounts.mount(), elsewhere.mount()
    (theirs.path / "f").touch()
    (note,) = mounts.store_path.rglob(f"mounts/*/{DEVICE}")
    right = note.read_text()
    number = "{}:{}".format(*theirs.client.mount.device)
    note.write_text(" ".join([number, *right.split()[1:]]))
    with pytest.raises(RuntimeError, match="another mount by now, of"):
        volume_of(mounts).commit()
    assert theirs.status().version == 0
    note.write_text(right)
    assert volume_of(mounts).commit().version is None
    assert ours.status().version == 0


def test_the_store_by_another_path(mounts: Mounts, tmp_path: Path) -> None:
    (mounts.mount().path / "f").touch()
    link = tmp_path / "link"
    link.symlink_to(mounts.store_path)
    assert volume_of(link).commit().version == 1


def test_a_container_of_another_store(mounts: Mounts, elsewhere: Mounts) -> None:
    """Its private mount of the same name does not count, here or there."""
    ours = mounts.mount()
    (ours.path / "f").touch()
    spec = ContainerSpec((VolumeMount("data", "/volfs-test/data"),), commit="never")
    with Container(spec, str(elsewhere.store_path)):
        assert volume_of(mounts).commit().version == 1
        with pytest.raises(RuntimeError, match="sees no mount of data"):
            volume_of(elsewhere).commit()
