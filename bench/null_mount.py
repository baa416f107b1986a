"""A file system that does nothing but read one file: what pyfuse3 costs without volfs.

    python -m bench.null_mount FILE MOUNTPOINT

It looks for requests as volfs does, waits for the disk in the one thread there is, and
serves nobody else meanwhile: no file system in Python answers a single reader sooner.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyfuse3
import trio

from bench.workplace import Workplace
from volfs.fuse import polling

NAME = b"file"
INODE = 2


class NullOperations(pyfuse3.Operations):
    def __init__(self, source: Path) -> None:
        super().__init__()
        self.descriptor = os.open(source, os.O_RDONLY)
        os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_RANDOM)

    async def getattr(self, inode, ctx=None):
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = inode
        entry.st_mode = (
            stat.S_IFDIR | 0o755 if inode == pyfuse3.ROOT_INODE else stat.S_IFREG | 0o644
        )
        entry.st_size = os.fstat(self.descriptor).st_size
        entry.attr_timeout = entry.entry_timeout = 1e9
        return entry

    async def lookup(self, parent_inode, name, ctx=None):
        if name != NAME:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return await self.getattr(pyfuse3.InodeT(INODE))

    async def open(self, inode, flags, ctx):
        return pyfuse3.FileInfo(fh=pyfuse3.FileHandleT(inode), keep_cache=True)

    async def read(self, fh, off, size):
        data = bytearray(size)
        while True:
            with contextlib.suppress(BlockingIOError):
                return data[: os.preadv(self.descriptor, [data], off, os.RWF_NOWAIT)]


@contextlib.contextmanager
def null_mounted(place: Workplace, source: Path) -> Iterator[Path]:
    """The path of the one file in it."""
    path = place.directory / place.new_name("null")
    path.mkdir()
    command = [sys.executable, "-m", "bench.null_mount", str(source), str(path)]
    process = subprocess.Popen(command, cwd=Path(__file__).resolve().parent.parent)
    try:
        while not path.is_mount():
            if process.poll() is not None:
                raise AssertionError(f"{path}: not mounted")
            time.sleep(0.02)
        yield path / os.fsdecode(NAME)
    finally:
        subprocess.run(["umount", "--lazy", path], capture_output=True, check=False)
        process.wait()
        path.rmdir()


def main() -> None:
    source, mountpoint = sys.argv[1:]
    pyfuse3.init(
        NullOperations(Path(source)), mountpoint, {*pyfuse3.default_options, "fsname=null"}
    )
    polling.install(None)
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close(unmount=False)


if __name__ == "__main__":
    main()
