"""What the kernel keeps is right: it drops pages when it is told to, and not by their times."""

from __future__ import annotations

import errno
import mmap
import os
import random
import subprocess
from pathlib import Path

import pytest

from tests.harness.calls import fails, list_cached_pages
from tests.harness.mounted import Mounted, Mounts
from volfs.fuse.negotiation import VARIABLE

pytestmark = pytest.mark.fuse
SIZE = 120_000
STEPS, STEPS_SLOW = 300, 6000


class Exerciser:
    """Random reads, writes, mappings and truncations of one file, as fsx does, with commits while
    pages are dirty. Others rewrite it through their mount, and it is reloaded."""

    def __init__(self, mounted: Mounted, other: Mounted, seed: int) -> None:
        self.mounted, self.other = mounted, other
        self.path, self.theirs = mounted.path / "f", other.path / "f"
        self.chance = random.Random(seed)
        self.expected = bytearray()
        self.trail: list[str] = []
        self.path.write_bytes(b"")
        self.open: list[int] = []
        self.maps: list[mmap.mmap] = []

    def run(self, steps: int) -> None:
        try:
            for number in range(1, steps + 1):
                self.step()
                if number % 20 == 0:
                    self.meet_others()
        finally:
            self.close()

    def step(self) -> None:
        if not self.open or self.chance.random() < 0.2:
            self.open.append(os.open(self.path, os.O_RDWR))
        descriptor, start = self.chance.choice(self.open), self.chance.randrange(SIZE)
        data = self.chance.randbytes(self.chance.randrange(1, 20_000))
        operations = (
            "write",
            "write",
            "read",
            "read",
            "store",
            "load",
            "cut",
            "time",
            "commit",
            "close",
        )
        operation = self.chance.choice(operations)
        self.trail.append(f"{operation} {start} {len(data)}")
        match operation:
            case "write":
                os.pwrite(descriptor, data, start)
                self.note(start, data)
            case "read":
                self.check(start, os.pread(descriptor, len(data), start), len(data))
            case "store":
                self.store(descriptor, start, data)
            case "load":
                self.load(start, len(data))
            case "cut":
                self.drop_maps()
                os.ftruncate(descriptor, start)
                self.expected = self.expected[:start].ljust(start, b"\0")
            case "time":
                when = self.chance.randrange(1 << 60)
                os.utime(descriptor, ns=(when, when))
            case "commit":
                self.mounted.commit()
            case "close":
                os.close(self.open.pop())

    def note(self, start: int, data: bytes) -> None:
        self.expected = self.expected.ljust(start, b"\0")
        self.expected[start : start + len(data)] = data

    def check(self, start: int, found: bytes, length: int) -> None:
        assert found == self.expected[start : start + length], self.trail[-30:]

    def store(self, descriptor: int, start: int, data: bytes) -> None:
        """The pages stay dirty, and mapped, for as long as nobody needs the room."""
        data = data[: max(0, len(self.expected) - start)]
        if data:
            self.maps.append(mmap.mmap(descriptor, len(self.expected)))
            self.maps[-1][start : start + len(data)] = data
            self.note(start, data)

    def load(self, start: int, length: int) -> None:
        for mapped in self.maps:
            end = min(start + length, len(mapped))
            assert mapped[start:end] == self.expected[start:end], self.trail[-30:]

    def drop_maps(self) -> None:
        while self.maps:
            self.maps.pop().close()

    def close(self) -> None:
        self.drop_maps()
        while self.open:
            os.close(self.open.pop())

    def meet_others(self) -> None:
        """They change bytes of what we committed, perhaps with the very same size and times."""
        self.mounted.commit()
        before = self.path.stat()
        self.close()
        self.other.reload()
        assert self.theirs.read_bytes() == self.expected, self.trail[-30:]
        start, data = self.chance.randrange(SIZE), self.chance.randbytes(5000)
        if self.chance.random() < 0.5:
            data = data[: max(0, len(self.expected) - start)]
        with self.theirs.open("r+b") as file:
            os.pwrite(file.fileno(), data, start)
        if data:
            self.note(start, data)
        os.utime(self.theirs, ns=(before.st_mtime_ns, before.st_mtime_ns))
        self.other.commit()
        self.mounted.reload()
        self.trail.append(f"others wrote {start} {len(data)}")
        assert self.path.read_bytes() == self.expected, self.trail[-30:]


@pytest.mark.parametrize("seed", [1, 2])
def test_mappings_writes_and_reloads(mounts: Mounts, seed: int) -> None:
    mounted = mounts.mount()
    Exerciser(mounted, mounts.mount(), seed).run(STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 14))
def test_mappings_writes_and_reloads_for_long(mounts: Mounts, seed: int) -> None:
    mounted = mounts.mount()
    Exerciser(mounted, mounts.mount(), seed).run(STEPS_SLOW)


FAIL = """
import errno, pyfuse3
from volfs.fuse.ops import Operations
plain = Operations.write
async def write(self, fh, off, buf):
    if b"refuse" in bytes(buf[:10]): raise pyfuse3.FUSEError(errno.ENOSPC)
    return await plain(self, fh, off, buf)
Operations.write = write
"""


def test_pages_stay_until_their_content_changes(mounts: Mounts) -> None:
    mounted = mounts.mount(prelude=FAIL)
    path = mounted.path / "f"
    path.write_bytes(b"1" * 64 * mmap.PAGESIZE)
    os.utime(path, ns=(5, 5))
    assert path.stat().st_mtime_ns == 5
    assert all(list_cached_pages(path)), "what was written is not read again"
    mounted.commit()
    mounted.reload()
    assert all(list_cached_pages(path))
    with path.open("r+b", buffering=0) as file:
        with fails(errno.ENOSPC):
            file.write(b"refuse")
        file.seek(0)
        assert file.read() == b"1" * 64 * mmap.PAGESIZE, "what was refused is not shown"
        file.truncate(mmap.PAGESIZE + 5)
        file.truncate(3 * mmap.PAGESIZE)
        file.seek(0)
        assert file.read() == b"1" * (mmap.PAGESIZE + 5) + bytes(2 * mmap.PAGESIZE - 5)
    with path.open("r+b", buffering=0) as file, path.open("rb", buffering=0) as other:
        assert other.read(4) == b"1111"
        file.write(b"2222")
        assert os.pread(other.fileno(), 4, 0) == b"2222"
        direct = os.open(path, os.O_WRONLY | os.O_DIRECT)
        with mmap.mmap(-1, mmap.PAGESIZE) as page:
            os.writev(direct, [page])
        os.close(direct)
        assert os.pread(other.fileno(), 4, 0) == bytes(4)


def test_without_the_flag_pages_go_with_their_times(mounts: Mounts) -> None:
    """What the other tests of this file would not notice: that the flag does what it is for."""
    mounts.environment[VARIABLE] = "none"
    path = mounts.mount().path / "f"
    path.write_bytes(b"1" * 64 * mmap.PAGESIZE)
    assert path.stat().st_size
    assert not all(list_cached_pages(path))


@pytest.fixture
def bound(mounts: Mounts) -> tuple[Mounted, Path]:
    """A mount of a network file system, and a place for something bound from it."""
    mounts.create("net", network=True)
    place = mounts.directory / "bound"
    place.touch()
    return mounts.mount(volume="net"), place


def test_a_bound_file_of_a_network_file_system_has_the_new_content(
    mounts: Mounts, bound: tuple[Mounted, Path]
) -> None:
    """Its inode stays, for something is attached to it; size and time stay as well."""
    mounted, place = bound
    path, theirs = mounted.path / "f", mounts.mount(volume="net").path / "f"
    path.write_bytes(b"old" * 20_000)
    os.utime(path, ns=(5, 5))
    subprocess.run(["mount", "--bind", path, place], check=True)
    try:
        for content in (b"new" * 20_000, b"other" * 12_000, b"longer" * 20_000, b"short"):
            assert place.read_bytes() == path.read_bytes()
            theirs.write_bytes(content)
            os.utime(theirs, ns=(5, 5))
            assert path.stat().st_size == len(content)
            assert place.read_bytes() == content
            assert path.read_bytes() == content
    finally:
        subprocess.run(["umount", place], check=True)


def test_symlinks_that_say_something_else(mounts: Mounts) -> None:
    mounted, other = mounts.mount(), mounts.mount()
    for number in range(4):
        target = str(number) * (number * 50 + 1)
        (other.path / "link").unlink(missing_ok=True)
        (other.path / "link").symlink_to(target)
        other.commit()
        mounted.reload()
        assert [os.readlink(mounted.path / "link") for _ in range(2)] == [target, target]
        (mounted.path / "own").unlink(missing_ok=True)
        (mounted.path / "own").symlink_to(target)
        assert [os.readlink(mounted.path / "own") for _ in range(2)] == [target, target]
