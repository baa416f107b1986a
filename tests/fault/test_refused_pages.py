"""Pages of a mapping that were lost on a full disk, and told to somebody else: a commit says it."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness.disks import MIB, fill, memory_disk
from tests.harness.mounted import Mounted, Mounts
from volfs.errors import OutOfSpaceError

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk"),
]
PAGES = 300
SIZE = PAGES * 4096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with memory_disk(tmp_path, 64 * MIB) as path:
        yield path


@pytest.fixture
def mounts(tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mounts]:
    found = Mounts(tmp_path)
    found.store_path = disk / "store"
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(found.runtime))
    found.create()
    found.expect("No space left", "no room", "not recorded")
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def opened(mounts: Mounts) -> Iterator[tuple[Mounted, int]]:
    """A mount whose file ``f`` is committed, and open for reading and writing."""
    mounted = mounts.mount()
    (mounted.path / "f").write_bytes(b"a" * SIZE)
    mounted.commit()
    descriptor = os.open(mounted.path / "f", os.O_RDWR)
    yield mounted, descriptor
    with suppress(OSError):
        os.close(descriptor)


def lose(disk: Path, descriptor: int, byte: bytes) -> None:
    """Change every page of a file, with no room for them, and hear of it from msync."""
    ballast = fill(disk)
    with mmap.mmap(descriptor, SIZE) as shown:
        shown[:] = byte * SIZE
        with pytest.raises(OSError, match="No space"):
            shown.flush()
        with suppress(OSError):
            os.fsync(descriptor)
    ballast.unlink()


def is_written(descriptor: int, at: int) -> bool:
    try:
        return os.pwrite(descriptor, b"e" * 4096, at) == 4096
    except OSError:
        return False


def test_a_commit_tells_what_only_msync_was_told(
    opened: tuple[Mounted, int], disk: Path, mounts: Mounts
) -> None:
    mounted, descriptor = opened
    lose(disk, descriptor, b"b")
    with pytest.raises(OutOfSpaceError, match=r"^f: .*written to it through a mapping.*again"):
        mounted.commit()
    assert mounts.version == 1
    os.pwrite(descriptor, b"c" * SIZE, 0)
    assert mounted.commit().changed
    assert (mounted.path / "f").read_bytes() == b"c" * SIZE


def test_what_was_written_again_since_is_no_loss(opened: tuple[Mounted, int], disk: Path) -> None:
    mounted, descriptor = opened
    lose(disk, descriptor, b"b")
    with mmap.mmap(descriptor, SIZE) as shown:
        shown[:] = b"b" * SIZE
        shown.flush()
    assert mounted.commit().changed
    lose(disk, descriptor, b"d")
    os.ftruncate(descriptor, 0)
    assert mounted.commit().changed


def test_a_write_that_failed_was_told_to_who_wrote(opened: tuple[Mounted, int], disk: Path) -> None:
    mounted, descriptor = opened
    ballast = fill(disk)
    failed = sum(not is_written(descriptor, at) for at in range(0, SIZE, 4096))
    assert failed > PAGES // 2
    ballast.unlink()
    mounted.commit()
