"""What is agreed on at INIT past libfuse, beside a mount where nothing is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.figures import Figure, median_figure, ratio_figure
from bench.workplace import Workplace, small_file_path, timed

ROUNDS = 5
PROCESSES = 4
PIECE = 1 << 20
STAT = f"""
import os, sys
directory, first, count = sys.argv[1], *map(int, sys.argv[2:])
paths = [f"{{directory}}/f{{number:06}}" for number in range(first, first + count - 3, {PROCESSES})]
sys.stdin.buffer.raw.read(1)
for path in paths: os.stat(path)
"""
Work = Callable[[Path, int], float]


def measure_init(place: Workplace) -> Iterator[Figure]:
    """Two mounts of one volume in turn, in each round the other one first."""
    count, files, size = place.sizes.writes // 10, place.sizes.creations, place.sizes.big // 4
    volume = place.make_filled_volume(ROUNDS * files, files)
    works: dict[str, tuple[str, Work]] = {
        "appends of 200 bytes": ("1/s", lambda root, _: _append(root, count, 200)),
        "writes of 4 KiB": ("1/s", lambda root, _: _append(root, count, 4096)),
        f"first read of {size >> 20:,} MiB just written": (
            "MiB/s",
            lambda root, _: _read_new(root, size),
        ),
        "cold stat, four processes, one directory": ("1/s", lambda r, n: _stat(r, n, files)),
    }
    with (
        place.mounted(volume) as ours,
        place.mounted(volume, variables={"VOLFS_FUSE_FLAGS": "none"}) as other,
    ):
        for name, (unit, work) in works.items():
            yield from _compare(name, unit, work, ours.path, other.path)


def _compare(name: str, unit: str, work: Work, ours: Path, other: Path) -> Iterator[Figure]:
    rates: dict[Path, list[float]] = {ours: [], other: []}
    for number in range(ROUNDS):
        for root in (ours, other) if number % 2 else (other, ours):
            rates[root].append(work(root, number))
    yield ratio_figure(f"{name}: agreed / plain", rates[ours], rates[other])
    yield median_figure(f"  {name}, agreed", rates[ours], unit)
    yield median_figure(f"  {name}, plain", rates[other], unit)


def _append(root: Path, count: int, size: int) -> float:
    data = os.urandom(size)
    with (root / "log").open("wb", buffering=0) as file:

        def run() -> None:
            for _ in range(count):
                file.write(data)

        return count / timed(run)


def _read_new(root: Path, size: int) -> float:
    path, data = root / "big", os.urandom(PIECE)
    path.unlink(missing_ok=True)
    with path.open("wb", buffering=0) as file:
        for _ in range(size // PIECE):
            file.write(data)

    def run() -> None:
        with path.open("rb", buffering=0) as file:
            while file.read(PIECE):
                pass

    return (size >> 20) / timed(run)


def _stat(root: Path, number: int, files: int) -> float:
    """Of a directory that nobody has looked at in this mount; each process has its own names."""
    directory = root / os.fsdecode(small_file_path(number * files, files)[0])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", STAT, directory, *map(str, (number * files + first, files))],
            stdin=subprocess.PIPE,
        )
        for first in range(PROCESSES)
    ]

    def run() -> None:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"x")
            process.stdin.flush()
        for process in processes:
            process.communicate()

    return files / timed(run)
