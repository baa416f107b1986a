"""What the kernel holds back of shared mappings is in every commit, whichever way leads there."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fuse.test_commit import read_version
from tests.harness.mounted import Mounted, Mounts, wait_until

pytestmark = pytest.mark.fuse

SLOW = """
import trio
from volfs.fuse.ops import Operations
plain = Operations.write
async def write(self, fh, off, buf):
    await trio.sleep(0.01)
    return await plain(self, fh, off, buf)
Operations.write = write
"""
"""A daemon that takes its time for each write: a commit that does not wait is found out."""
WAYS = {
    "the clone, by number": "",
    "the clone, by path": "import volfs.fuse.mount_anchor as a; a._INODE_HANDLE = 0",
    "a path": "import volfs.fuse.mount_anchor as a; a._OPEN_TREE = -1; a._INODE_HANDLE = 0",
    "no way": "import volfs.fuse.mount_anchor as a; a.MountAnchor._enter = lambda self: None",
}
"""How the daemon gets at its files: what a kernel or user lacks is taken away."""
SIZE = 1 << 20


@contextmanager
def mapping(path: Path) -> Iterator[Callable[[bytes], None]]:
    """A file, mapped; the call writes to every second page, so that none is written together."""
    path.write_bytes(bytes(SIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:

        def fill(byte: bytes) -> None:
            for offset in range(0, SIZE, 2 * mmap.PAGESIZE):
                mapped[offset : offset + 1] = byte

        yield fill


def check_filled(mounts: Mounts, path: str, byte: bytes) -> None:
    data = read_version(mounts, path)
    assert {data[at : at + 1] for at in range(0, SIZE, 2 * mmap.PAGESIZE)} == {byte}


@pytest.mark.parametrize("way", WAYS)
def test_all_dirty_pages_are_in_the_commit(mounts: Mounts, way: str) -> None:
    mounted = mounts.mount(prelude=SLOW + WAYS[way])
    with mapping(mounted.path / "one") as fill, mapping(mounted.path / "other") as fill_other:
        for byte in (b"a", b"b"):
            fill(byte)
            fill_other(byte)
            mounted.commit()
            check_filled(mounts, "one", byte)
            check_filled(mounts, "other", byte)


def rename_parent(mounted: Mounted) -> None:
    mounted.path.parent.rename(mounted.path.parent.with_name("renamed"))


def cover(mounted: Mounted) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "cover", mounted.path], check=True)


def cover_parent(mounted: Mounted) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "cover", mounted.path.parent], check=True)


def bind_and_detach(mounted: Mounted) -> None:
    other = mounted.path.parent / "other"
    other.mkdir()
    subprocess.run(["mount", "--bind", mounted.path, other], check=True)
    subprocess.run(["umount", "-l", mounted.path], check=True)


def detach(mounted: Mounted) -> None:
    subprocess.run(["umount", "-l", mounted.path], check=True)


DISPLACED = {
    "its parent renamed": rename_parent,
    "covered": cover,
    "its parent covered": cover_parent,
    "detached, but bound elsewhere": bind_and_detach,
    "detached": detach,
}


@pytest.fixture
def apart(mounts: Mounts) -> Iterator[Mounted]:
    """A mount in a directory of its own, with whatever is mounted there taken away afterwards."""
    parent = mounts.directory / "parent"
    parent.mkdir()
    try:
        yield mounts.mount(mounts.place("parent/m"), prelude=SLOW)
    finally:
        for name in ("parent", "parent/m", "parent/other", "renamed/m"):
            while (
                subprocess.run(
                    ["umount", "-l", mounts.directory / name], check=False, capture_output=True
                ).returncode
                == 0
            ):
                pass


@pytest.mark.parametrize("displace", DISPLACED.values(), ids=DISPLACED)
def test_a_commit_finds_its_mount_wherever_that_is(
    mounts: Mounts, apart: Mounted, displace: Callable[[Mounted], None]
) -> None:
    """And the end commits, too."""
    with mapping(apart.path / "f") as fill:
        fill(b"a")
        displace(apart)
        apart.commit()
        check_filled(mounts, "f", b"a")
        fill(b"b")
        apart.commit()
        check_filled(mounts, "f", b"b")
        fill(b"c")
        mounts.expect("is mounted over it")
        apart.signal(signal.SIGTERM)
        wait_until(lambda: mounts.version == 3, "the last commit")
        check_filled(mounts, "f", b"c")
    apart.wait_for_end()


@pytest.mark.parametrize("displace", [rename_parent, detach], ids=["renamed", "detached"])
def test_an_end_by_the_socket_finds_it_too(
    mounts: Mounts, apart: Mounted, displace: Callable[[Mounted], None]
) -> None:
    (apart.path / "f").write_text("kept")
    opened = (apart.path / "f").open()
    displace(apart)
    if displace is rename_parent:
        opened.close()
    apart.client.unmount()
    apart.wait_for_end()
    opened.close()
    assert read_version(mounts, "f") == b"kept"


def test_a_covered_mount_says_what_covers_it(mounts: Mounts, apart: Mounted) -> None:
    cover(apart)
    with pytest.raises(Exception, match=r"tmpfs of cover is mounted over it.*unmount that first"):
        apart.client.unmount()
    subprocess.run(["umount", apart.path], check=True)
    apart.unmount()


def test_what_could_not_be_written_back_is_named(mounts: Mounts) -> None:
    """Each file, with the reason; the commit after that can succeed."""
    failing = """
import errno, os, pyfuse3
from volfs.fuse.ops import Operations
plain = Operations.write
async def write(self, fh, off, buf):
    if os.path.exists(%r) and off == 8192:
        raise pyfuse3.FUSEError(errno.ENOSPC)
    return await plain(self, fh, off, buf)
Operations.write = write
"""
    full = mounts.directory / "full"
    mounted = mounts.mount(prelude=failing % str(full))
    with mapping(mounted.path / "f") as fill:
        fill(b"a")
        full.touch()
        with pytest.raises(Exception, match=r"f: .*No space left on device; write it again"):
            mounted.commit()
        assert mounts.version == 0
        full.unlink()
        fill(b"b")
        mounted.commit()
        check_filled(mounts, "f", b"b")


def test_a_mount_that_is_unmounted_is_not_kept_by_its_daemon(mounts: Mounts) -> None:
    mounted = mounts.mount()
    (mounted.path / "f").write_text("kept")
    subprocess.run(["umount", mounted.path], check=True)
    mounted.wait_for_end()
    assert read_version(mounts, "f") == b"kept"
    assert not os.path.exists(mounts.mount(mounted.path).path / "g")
