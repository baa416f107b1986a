"""A store is on a disk of this machine; where others may share it, it is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.mounted import wait_until
from volfs.errors import StoreUnavailableError
from volfs.store.embedded.place.local_disk import find_fs_type
from volfs.store.registry import open_store

PRETENDER = """
import os, stat, sys, pyfuse3, trio

class Empty(pyfuse3.Operations):
    async def getattr(self, inode, ctx=None):
        found = pyfuse3.EntryAttributes()
        found.st_ino, found.st_mode = inode, stat.S_IFDIR | 0o755
        return found

    async def lookup(self, parent, name, ctx=None):
        raise pyfuse3.FUSEError(2)

pyfuse3.init(Empty(), sys.argv[1], {"fsname=host:/export", "subtype=sshfs"})
trio.run(pyfuse3.main)
pyfuse3.close()
"""


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """The mount of an empty file system that says it is sshfs."""
    place = tmp_path / "shared"
    place.mkdir()
    process = subprocess.Popen([sys.executable, "-c", PRETENDER, place])
    wait_until(place.is_mount, "the mount")
    yield place
    subprocess.run(["umount", place], check=True)
    assert process.wait() == 0


@pytest.mark.fuse
def test_none_is_made_where_machines_share_a_disk(shared: Path) -> None:
    assert find_fs_type(shared) == "fuse.sshfs"
    for path in (shared, shared / "store", shared / "deep/store"):
        with pytest.raises(StoreUnavailableError, match=r"on fuse\.sshfs, which other machines"):
            open_store(str(path), create=True)


def test_the_disk_of_a_test_is_local(tmp_path: Path) -> None:
    assert find_fs_type(Path("/proc")) == "proc"
    open_store(str(tmp_path / "store"), create=True).close()
