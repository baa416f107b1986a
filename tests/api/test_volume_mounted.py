"""``commit`` and ``reload`` of handles: on the mount that the calling process sees."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import volfs as modal
from tests.api.conftest import ROOT
from tests.harness.fixtures import mounted, mounts
from tests.harness.mounted import Mounted, Mounts
from volfs.containers.container import Container, ContainerSpec, VolumeMount

__all__ = ["mounted", "mounts"]
pytestmark = pytest.mark.fuse


@pytest.fixture
def volume(mounts: Mounts) -> modal.Volume:
    return modal.Volume.from_name("data")


@pytest.fixture
def bound(mounts: Mounts, mounted: Mounted) -> Iterator[Path]:
    """Where the mount is bound, too."""
    place = mounts.directory / "bound"
    place.mkdir()
    subprocess.run(["mount", "--bind", mounted.path, place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def in_own_namespace(mounts: Mounts, before: str, code: str) -> str:
    """What a process prints that changed its own mount table before."""
    program = f"import os, sys\nimport volfs as modal\n{code}"
    script = f'set -e\n{before}\nexec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable, program],
        env={**mounts.environment, "VOLFS_STORE": str(mounts.store_path)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def test_commit_and_reload(volume: modal.Volume, mounts: Mounts) -> None:
    one = mounts.mount()
    (one.path / "a").write_text("1")
    commit = volume.commit("first")
    assert commit
    assert (commit.version, commit.new_objects > 0, commit.overridden) == (1, True, ())
    nothing = volume.commit()
    assert not nothing
    assert nothing.version is None
    two = mounts.mount()
    (two.path / "a").write_text("2")
    assert volume.commit(mountpoint=str(two.path)).version == 2
    assert (one.path / "a").read_text() == "1"
    volume.reload(mountpoint=str(one.path))
    assert (one.path / "a").read_text() == "2"


def test_which_mount_must_be_clear(volume: modal.Volume, mounts: Mounts) -> None:
    one, two = mounts.mount(), mounts.mount()
    with pytest.raises(RuntimeError, match="mounted more than once") as caught:
        volume.reload()
    assert f"({one.path}, {two.path})" in str(caught.value)
    with pytest.raises(RuntimeError, match=f"sees no mount of data at {mounts.directory};"):
        volume.reload(mountpoint=str(mounts.directory))
    mounts.create("other")
    with pytest.raises(RuntimeError, match="sees no mount of other;"):
        modal.Volume.from_name("other").commit()


def test_others_are_overridden(volume: modal.Volume, mounts: Mounts) -> None:
    one, two = mounts.mount(), mounts.mount()
    (one.path / "a").write_text("1")
    one.commit()
    (two.path / "a").write_text("2")
    mounts.expect("overrides theirs")
    with pytest.raises(modal.exception.ConflictError):
        volume.commit(on_conflict="fail", mountpoint=str(two.path))
    commit = volume.commit(mountpoint=str(two.path))
    assert [(item.path, commit.version) for item in commit.overridden] == [("a", 2)]


def test_a_busy_reload(volume: modal.Volume, mounted: Mounted) -> None:
    with (mounted.path / "f").open("w"), pytest.raises(RuntimeError) as caught:
        volume.reload()
    assert "volume busy" in str(caught.value)
    assert "there are open files preventing the operation: path f is open from" in str(caught.value)
    volume.reload()


def test_through_a_bind_mount(
    volume: modal.Volume, mounts: Mounts, mounted: Mounted, bound: Path
) -> None:
    (bound / "a").touch()
    assert volume.commit().version == 1
    assert volume.commit(mountpoint=str(bound)).version is None
    said = in_own_namespace(
        mounts,
        f"umount {mounted.path}",
        f"""
volume = modal.Volume.from_name("data")
open("{bound}/b", "w").close()
print(volume.commit().version)
volume.reload()
with open("{bound}/b"):
    try:
        volume.reload()
    except RuntimeError as error:
        print(error)
""",
    )
    version, busy = said.splitlines()
    assert version == "2"
    assert f"preventing the operation: path b is open from '{sys.executable}" in busy


def test_in_a_container_its_own_mount_is_meant(mounts: Mounts, mounted: Mounted) -> None:
    where = "/volfs-test/data"
    program = f"""
import volfs as modal
open("{where}/a", "w").close()
volume = modal.Volume.from_name("data")
print(volume.commit().version)
volume.reload()
"""
    spec = ContainerSpec((VolumeMount("data", where),))
    with Container(spec, str(mounts.store_path)) as container:
        process = container.start(
            [sys.executable, "-c", program],
            env={**mounts.environment, "VOLFS_STORE": str(mounts.store_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.communicate(timeout=60)[0] == "1\n"
    assert list(mounted.path.iterdir()) == []


def test_a_process_that_does_not_see_it(mounts: Mounts, mounted: Mounted) -> None:
    said = in_own_namespace(
        mounts,
        f"umount {mounted.path}",
        """
try:
    modal.Volume.from_name("data").commit()
except RuntimeError as error:
    print(error)
""",
    )
    assert "sees no mount of data" in said


def test_what_cannot_be_committed_or_reloaded(volume: modal.Volume, mounts: Mounts) -> None:
    one = mounts.mount()
    (one.path / "a").touch()
    volume.commit()
    one.unmount()
    pinned = mounts.mount(at="1")
    assert volume.commit().version is None
    with pytest.raises(RuntimeError, match="pinned at version 1"):
        volume.reload()
    pinned.kill()
    with pytest.raises(RuntimeError, match="sees no mount"):
        volume.commit()


def test_an_ephemeral_volume_that_is_still_mounted(mounts: Mounts) -> None:
    with modal.Volume.ephemeral() as volume:
        mounted = mounts.mount(volume=volume.object_id)
        (mounted.path / "a").touch()
        assert volume.commit().version == 1
    mounted.unmount()
    modal.Volume.objects.delete(volume.object_id)


def test_a_renamed_volume(volume: modal.Volume, mounted: Mounted) -> None:
    volume.hydrate()
    modal.Volume.rename("data", "renamed")
    (mounted.path / "a").touch()
    assert volume.commit().version == 1
    modal.Volume.rename("renamed", "data")


def test_two_threads(volume: modal.Volume, mounted: Mounted) -> None:
    """Each commit has what was written before it, whoever made it."""
    versions: list[int | None] = []

    def work(name: str) -> None:
        for number in range(5):
            (mounted.path / f"{name}{number}").touch()
            versions.append(volume.commit().version)
            volume.reload(wait=10)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [version for version in versions if version]
    assert sorted(made) == list(range(1, len(made) + 1))
    assert len(list(mounted.path.iterdir())) == 10


async def test_twins(volume: modal.Volume, mounted: Mounted) -> None:
    (mounted.path / "a").touch()
    assert (await volume.commit.aio("by a twin")).version == 1
    await volume.reload.aio()
