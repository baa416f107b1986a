"""One large file: writing and committing it, then rewriting bits of it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.figures import Figure, FigureTarget, median_figure, ratio_figure
from bench.workplace import MountedVolume, Workplace, timed

STEP = 1 << 20
PAGE = 4096


def measure_big_file(place: Workplace) -> Iterator[Figure]:
    """Written through the mount and committed; on the disk, written and fsynced."""
    size = place.sizes.big
    mebibytes = size / STEP
    blocks = [os.urandom(STEP) for _ in range(min(64, size // STEP))]
    write, commit, whole, plain = [], [], [], []
    for _ in range(place.sizes.runs):
        volume = place.make_volume(place.new_name("big"))
        with place.mounted(volume) as mount:
            salt = os.urandom(16)
            write.append(timed(partial(write_file, mount.path / "big", size, blocks, salt)))
            commit.append(timed(mount.client.commit))
        whole.append(write[-1] + commit[-1])
        plain.append(timed(partial(_write_and_sync, place.plain / "big", size, blocks, salt)))
        (place.plain / "big").unlink()
    label = f"{mebibytes:,.0f} MiB"
    yield ratio_figure(
        f"new file of {label}, durable: disk / volfs", plain, whole, note="1 is as fast as the disk"
    )
    yield median_figure(f"  written to the mount, {label}", _rates(mebibytes, write), "MiB/s")
    yield median_figure(f"  committed, {label}", _rates(mebibytes, commit), "MiB/s")
    yield median_figure(
        f"  written and fsynced on the disk, {label}", _rates(mebibytes, plain), "MiB/s"
    )


def measure_rewrites(place: Workplace) -> Iterator[Figure]:
    """Pages rewritten here and there in a committed file: time and bytes of the commit."""
    sizes = place.sizes
    blocks = [os.urandom(STEP) for _ in range(64)]
    with place.mounted(place.make_volume(place.new_name("rewrites"))) as mount:
        write_file(mount.path / "big", sizes.big, blocks, os.urandom(16))
        mount.client.commit()
        seconds, added = [], []
        for _ in range(2 * place.sizes.runs + 1):
            _rewrite(mount, sizes.big, sizes.rewrites)
            before = place.count_stored_bytes()
            seconds.append(timed(mount.client.commit))
            added.append((place.count_stored_bytes() - before) / STEP)
    label = f"{sizes.rewrites} pages of {sizes.big // STEP:,} MiB"
    yield median_figure(f"commit of {label} rewritten", seconds, "s", FigureTarget(0.1))
    yield median_figure(f"  added to the store: {label}", added, "MiB", FigureTarget(2))


def _rewrite(mount: MountedVolume, size: int, count: int) -> None:
    with (mount.path / "big").open("r+b", buffering=0) as file:
        for page in random.sample(range(size // PAGE), count):
            file.seek(page * PAGE)
            file.write(os.urandom(PAGE))


def write_file(path: Path, size: int, blocks: list[bytes], salt: bytes) -> None:
    """A file of ``size`` bytes in which no two MiB are equal, nor those of two salts."""
    with path.open("wb", buffering=0) as file:
        for number in range(size // STEP):
            head = salt + number.to_bytes(8, "big")
            block = blocks[number % len(blocks)]
            os.writev(file.fileno(), [head, memoryview(block)[len(head) :]])


def _write_and_sync(path: Path, size: int, blocks: list[bytes], salt: bytes) -> None:
    write_file(path, size, blocks, salt)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rates(amount: float, seconds: list[float]) -> list[float]:
    return [amount / value for value in seconds]
