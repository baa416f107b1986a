"""A disk of a test's own that can be frozen: whoever writes to it sleeps until it is thawed."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SIZE = 128 << 20
FREEZE, THAW = 0xC0045877, 0xC0045878
"""FIFREEZE and FITHAW of ioctl(2)."""


class Disk:
    """A file system in an image. ``path``: where it is mounted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._armed = path.with_name("armed")
        self._froze = path.with_name("froze")

    def freeze(self) -> None:
        """Return when nothing can be written any more."""
        self._control(FREEZE)

    def thaw(self) -> None:
        """Wake who sleeps. Nothing happens if it was not frozen."""
        with suppress(OSError):
            self._control(THAW)

    def _control(self, request: int) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, request, 0)
        finally:
            os.close(descriptor)

    def arm(self) -> None:
        """From now on ``freezing_at`` freezes."""
        self._armed.touch()

    @property
    def froze(self) -> bool:
        """Whether ``freezing_at`` has. Who is seen to sleep before waits for an ordinary write."""
        return self._froze.exists()

    def freezing_at(self, point: str) -> str:
        """A prelude for a daemon, which freezes the disk when it reaches a fault point."""
        return f"""
import fcntl, os
from volfs.errors import fault_points
class Freezing:
    point = {point!r}
    def pass_by(self, point):
        if point == self.point and os.path.exists({os.fspath(self._armed)!r}):
            self.point = ""
            fcntl.ioctl(os.open({os.fspath(self.path)!r}, os.O_RDONLY), {FREEZE}, 0)
            open({os.fspath(self._froze)!r}, "w").close()
fault_points._armed = Freezing()
"""


@contextmanager
def mounted_disk(directory: Path, kind: str) -> Iterator[Disk]:
    """A new disk of that file system; thawed and unmounted at the end, whatever happened."""
    image, path = directory / "image", directory / "disk"
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE if kind == "ext4" else 3 * SIZE)
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, path], check=True)
    disk = Disk(path)
    try:
        yield disk
    finally:
        disk.thaw()
        subprocess.run(["umount", "-l", path], check=True)
