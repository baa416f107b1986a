"""A program that writes files through a mount and commits each, whatever becomes of the mount.

    python -m tests.hosts.committer MOUNT NAME COUNT JOURNAL

The journal gets a line for each commit that was acknowledged, and ends with the program: when
there are COUNT of them, or when a file JOURNAL.stop is there.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from pathlib import Path

from volfs.control.mount_client import get_mount
from volfs.errors import VolfsError

PAUSE = 0.2


def make_content(name: str, number: int) -> bytes:
    return random.Random(f"{name} {number}").randbytes(100 + number % 3 * 100_000)


def write(mount: Path, name: str, data: bytes) -> None:
    """Write a file into the mount, and never into the directory below it."""
    place = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if os.fstat(place).st_dev == mount.parent.stat().st_dev:
            raise FileNotFoundError(f"{mount}: nothing is mounted there")
        with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=place), "wb") as file:
            file.write(data)
    finally:
        os.close(place)


def main(mount: Path, name: str, count: int, journal: Path) -> None:
    number, pause = 0, threading.Event()
    with journal.open("a", buffering=1) as notes:
        while number < count and not journal.with_suffix(".stop").exists():
            try:
                write(mount, f"{name}-{number:05}", make_content(name, number))
                get_mount(str(mount)).commit()
            except (OSError, VolfsError) as error:
                notes.write(f"# {number}: {type(error).__name__}: {error}\n")
                pause.wait(PAUSE)
                continue
            notes.write(f"{number}\n")
            number += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
