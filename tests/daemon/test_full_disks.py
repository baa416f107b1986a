"""Disks that fill up: that of the overlay, and that of the store."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.calls import fails
from tests.harness.mounted import Mounts
from volfs.errors import OutOfSpaceError
from volfs.volume.volumes import create_volume

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a tmpfs"),
]

SIZE = 24 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "small", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(path: Path, leave: int) -> Path:
    """A file that takes all but ``leave`` bytes of a disk."""
    ballast = path / "ballast"
    facts = os.statvfs(path)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, facts.f_bavail * facts.f_frsize - leave)
    return ballast


def test_a_full_overlay_is_enospc_and_deleting_makes_room(small_disk: Path, mounts: Mounts) -> None:
    mounts.expect("scratch: No space left", "catalog: ")
    mounts.put_sessions_in(small_disk / "sessions")
    mounted = mounts.mount()
    (mounted.path / "kept").write_bytes(b"kept" * 1000)
    with (mounted.path / "big").open("wb", buffering=0) as file, fails(errno.ENOSPC):
        for _ in range(100):
            file.write(random.Random(1).randbytes(1 << 20))
    assert (mounted.path / "kept").read_bytes() == b"kept" * 1000
    assert (mounted.path / "big").stat().st_size > 10 << 20
    (mounted.path / "big").unlink()
    (mounted.path / "new").write_bytes(random.Random(2).randbytes(10 << 20))
    assert mounted.commit().version == 1
    (mounted.path / "newer").write_bytes(random.Random(3).randbytes(10 << 20))
    assert mounted.commit().version == 2


def fill_volume(path: Path, size: int) -> list[Path]:
    """Files of ``size`` bytes until the disk is full, without the last one."""
    files: list[Path] = []
    with fails(errno.ENOSPC):
        while True:
            files.append(path / f"{size}-{len(files)}")
            files[-1].write_bytes(random.Random(len(files)).randbytes(size))
    files.pop().unlink()
    return files


@pytest.mark.parametrize("way", ["truncate", "replace", "scattered", "tree"])
def test_room_of_deleted_content_can_be_written_at_once(
    small_disk: Path, mounts: Mounts, way: str
) -> None:
    """As on a disk, whatever freed the room, and though nothing was synced since."""
    mounts.expect("scratch: No space left", "catalog: ")
    mounts.put_sessions_in(small_disk / "sessions")
    mounted = mounts.mount()
    (mounted.path / "below").mkdir()
    files = fill_volume(mounted.path / "below", 64 << 10)
    before = {file: file.read_bytes() for file in files}
    match way:
        case "truncate":
            gone = files[: len(files) // 2]
            for file in gone:
                os.truncate(file, 0)
        case "replace":
            gone = files[: len(files) // 2]
            (mounted.path / "empty").touch()
            for file in gone:
                os.link(mounted.path / "empty", file.with_name("next"))
                file.with_name("next").replace(file)
        case "scattered":
            gone = files[::2]
            for file in gone:
                file.unlink()
        case "tree":
            gone = files
            shutil.rmtree(mounted.path / "below")
    room = len(gone) * (64 << 10) * 3 // 4
    new = random.Random(7).randbytes(room)
    (mounted.path / "new").write_bytes(new)
    assert (mounted.path / "new").read_bytes() == new
    assert mounted.commit().version == 1
    for file in sorted(set(files) - set(gone)):
        assert file.read_bytes() == before[file]


def test_a_deleted_file_keeps_its_room_while_it_is_open(small_disk: Path, mounts: Mounts) -> None:
    mounts.expect("scratch: No space left", "catalog: ")
    mounts.put_sessions_in(small_disk / "sessions")
    mounted = mounts.mount()
    content = random.Random(1).randbytes(10 << 20)
    (mounted.path / "big").write_bytes(content)
    with (mounted.path / "big").open("rb") as file:
        (mounted.path / "big").unlink()
        with fails(errno.ENOSPC):
            (mounted.path / "new").write_bytes(content)
        assert file.read() == content
    (mounted.path / "new").write_bytes(content)
    assert (mounted.path / "new").read_bytes() == content


def test_a_full_overlay_can_still_be_committed(small_disk: Path, mounts: Mounts) -> None:
    mounts.expect("scratch: No space left", "catalog: ", "after a commit: ", "not recorded")
    mounts.put_sessions_in(small_disk / "sessions")
    mounted = mounts.mount()
    wrote = 0
    with (mounted.path / "big").open("wb", buffering=0) as file, fails(errno.ENOSPC):
        while True:
            wrote += file.write(random.Random(1).randbytes(1 << 20))
    assert mounted.commit().version == 1
    assert (mounted.path / "big").stat().st_size >= wrote
    (mounted.path / "more").write_bytes(bytes(range(256)) * 10_000)
    assert mounted.commit().version == 2


def test_a_full_store_fails_the_commit_and_keeps_the_overlay(
    small_disk: Path, mounts: Mounts, tmp_path: Path
) -> None:
    mounts.store_path = small_disk / "store"
    mounts.close_store()
    create_volume(mounts.store, "data", chunk_bits=16)
    mounts.put_sessions_in(tmp_path / "sessions")
    mounted = mounts.mount()
    data = random.Random(1).randbytes(4 << 20)
    (mounted.path / "f").write_bytes(data)
    ballast = fill(small_disk, 1 << 20)
    before = mounted.status()
    with pytest.raises(OutOfSpaceError):
        mounted.commit()
    assert mounts.version == 0
    assert (mounted.path / "f").read_bytes() == data
    after = mounted.status()
    assert (after.dirty_files, after.dirty_bytes) == (before.dirty_files, before.dirty_bytes)
    ballast.unlink()
    assert mounted.commit().version == 1
    assert mounted.status().dirty_files == 0
    mounted.unmount()
    mounts.close()


def test_an_end_with_a_full_store_leaves_the_overlay(
    small_disk: Path, mounts: Mounts, tmp_path: Path
) -> None:
    mounts.store_path = small_disk / "store"
    mounts.close_store()
    create_volume(mounts.store, "data", chunk_bits=16)
    mounts.put_sessions_in(tmp_path / "sessions")
    mounted = mounts.mount()
    data = random.Random(1).randbytes(4 << 20)
    (mounted.path / "f").write_bytes(data)
    ballast = fill(small_disk, 1 << 20)
    mounts.expect("last commit: ", "the overlay stays in")
    subprocess.run(["umount", mounted.path], check=True)
    mounted.wait_for_end()
    assert len(os.listdir(tmp_path / "sessions")) == 1
    assert mounts.version == 0
    ballast.unlink()
    again = mounts.mount(mounted.path)
    assert (again.path / "f").read_bytes() == data
    again.unmount()
    assert (mounts.version, os.listdir(tmp_path / "sessions")) == (1, [])
    mounts.close()
