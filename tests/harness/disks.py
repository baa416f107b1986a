"""Small disks of a test's own: a loop-mounted ext4 image, and memory. Only root can mount them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MIB = 1 << 20


@contextmanager
def ext4_disk(directory: Path, size: int, *, inodes: int = 0) -> Iterator[Path]:
    """A mounted ext4 of so many bytes; its image is beside it."""
    image = directory / "disk.img"
    with image.open("wb") as file:
        file.truncate(size)
    options = ["-N", str(inodes)] if inodes else []
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", *options, image], check=True)
    with mounted_disk(image, directory / "disk", "-o", "loop") as path:
        yield path


@contextmanager
def memory_disk(directory: Path, size: int) -> Iterator[Path]:
    """A mounted tmpfs of so many bytes."""
    options = ("-t", "tmpfs", "-o", f"size={size},mode=755")
    with mounted_disk(Path("tmpfs"), directory / "disk", *options) as path:
        yield path


@contextmanager
def mounted_disk(device: Path, path: Path, *options: str) -> Iterator[Path]:
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", *options, device, path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def fill(path: Path, leave: int = 0) -> Path:
    """A file that takes all but ``leave`` bytes of a disk."""
    ballast = path / "ballast"
    with ballast.open("wb") as file:
        room = find_free(path) - leave
        while room > 0:
            try:
                os.posix_fallocate(file.fileno(), 0, room)
                break
            except OSError:  # statvfs does not count what the file itself takes
                room -= 64 << 10
        while not leave:
            # What statvfs does not count, and what the file system keeps for itself.
            try:
                os.pwrite(file.fileno(), bytes(4096), os.fstat(file.fileno()).st_size)
            except OSError:
                break
    return ballast


def take_inodes(path: Path) -> Path:
    """A directory with so many empty files that no other can be made on the disk."""
    ballast = path / "inodes"
    ballast.mkdir()
    with suppress(OSError):
        for number in range(1 << 20):
            (ballast / str(number)).touch()
    return ballast


def find_free(path: Path) -> int:
    """Bytes that are free, as ``df`` says them."""
    os.sync()
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize
