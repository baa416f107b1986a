"""Reading a large file in order and at random: through the mount and from the disk."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, FigureTarget, median_figure, ratio_figure
from bench.machine import can_drop_caches, drop_caches
from bench.measure_big import STEP, write_file
from bench.null_mount import null_mounted
from bench.workplace import Workplace, timed

PAGE = 4096
BUFFER = 128 << 10
"""What cat, cp and Python's shutil read at a time, or near it."""
GOOD = FigureTarget(0.5, at_least=True)
GOOD_PAGES = FigureTarget(0.7, at_least=True)
JOBS = 4


def measure_read(place: Workplace) -> Iterator[Figure]:
    """Cold: a mount of its own for each run, and the kernel's caches dropped. Warm: once more."""
    for kind, blocks in (("random", _make_random()), ("compressible", _make_compressible())):
        volume = place.make_volume(place.new_name("read"))
        _write_both(place, volume, blocks)
        yield from _measure_in_order(place, volume, kind)
        if can_drop_caches():
            yield from _measure_cold_pages(place, volume, kind)
        if kind == "random":
            yield from _measure_pages(place, volume)


def _write_both(place: Workplace, volume: str, blocks: list[bytes]) -> None:
    salt = os.urandom(16)
    write_file(place.plain / "big", place.sizes.big, blocks, salt)
    with place.mounted(volume) as mount:
        write_file(mount.path / "big", place.sizes.big, blocks, salt)
        mount.client.commit()


def _measure_in_order(place: Workplace, volume: str, kind: str) -> Iterator[Figure]:
    cold: dict[str, list[float]] = {"ours": [], "disk": []}
    warm: dict[str, list[float]] = {"ours": [], "disk": []}
    large: dict[str, list[float]] = {"ours": [], "disk": []}
    for _ in range(place.sizes.runs):
        with place.mounted(volume) as mount:
            for who, path in (("disk", place.plain / "big"), ("ours", mount.path / "big")):
                if can_drop_caches():
                    drop_caches()
                    cold[who].append(read_rate(path))
                else:
                    read_rate(path)
                warm[who].append(read_rate(path))
                large[who].append(read_rate(path, STEP))
    if cold["ours"]:
        yield ratio_figure(
            f"cold read, {kind} data: volfs / disk", cold["ours"], cold["disk"], GOOD
        )
        yield median_figure(f"  volfs, cold, {kind}", cold["ours"], "MiB/s")
        yield median_figure(f"  disk, cold, {kind}", cold["disk"], "MiB/s")
    yield ratio_figure(f"warm read, {kind} data: volfs / disk", warm["ours"], warm["disk"], GOOD)
    yield ratio_figure(f"  the same, 1 MiB at a time, {kind}", large["ours"], large["disk"])
    yield median_figure(f"  volfs, warm, {kind}", warm["ours"], "MiB/s")
    yield median_figure(f"  disk, warm, {kind}", warm["disk"], "MiB/s")


def _measure_cold_pages(place: Workplace, volume: str, kind: str) -> Iterator[Figure]:
    """Pages at random that nobody has in memory: of a mount of its own for each run, of the
    disk, and of a file system of pyfuse3 that does nothing but read this file."""
    rates: dict[str, list[float]] = {"volfs": [], "disk": [], "null": []}
    jobs: dict[str, list[float]] = {"volfs": [], "disk": [], "null": []}
    plain = place.plain / "big"
    for _ in range(place.sizes.runs):
        with place.mounted(volume) as mount, null_mounted(place, plain) as null:
            paths = {"disk": plain, "null": null, "volfs": mount.path / "big"}
            for who, path in paths.items():
                drop_caches()
                rates[who].append(_page_rate(path, place.sizes.reads // 4))
                drop_caches()
                jobs[who].append(_page_rate_of_many(path, place.sizes.reads // 4))
    name = f"random pages read cold, {kind}"
    ours, disk, null = rates["volfs"], rates["disk"], rates["null"]
    yield ratio_figure(f"{name}: volfs / disk", ours, disk, GOOD_PAGES)
    yield ratio_figure("  the most that pyfuse3 can: nothing but the read / disk", null, disk)
    yield median_figure(f"  {name}, volfs", ours, "1/s")
    yield median_figure(f"  {name}, disk", disk, "1/s")
    yield ratio_figure(f"  the same by {JOBS} processes: volfs / disk", jobs["volfs"], jobs["disk"])
    yield ratio_figure(
        f"  by {JOBS} processes: nothing but the read / disk", jobs["null"], jobs["disk"]
    )


def _page_rate_of_many(path: Path, count: int) -> float:
    """Pages a second by processes side by side, each with a share of them."""
    program = "import sys; from bench.measure_read import page_rate_of; page_rate_of(*sys.argv[1:])"
    command = [sys.executable, "-c", program, str(path), str(count // JOBS)]
    root = Path(__file__).resolve().parent.parent
    running = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) for _ in range(JOBS)]
    return sum(float(process.communicate()[0]) for process in running)


def page_rate_of(path: str, count: str) -> None:
    """One of the processes: prints its rate."""
    print(_page_rate(Path(path), int(count)))


def _measure_pages(place: Workplace, volume: str) -> Iterator[Figure]:
    """Pages at random that the kernel has not got from us, from packs that it has."""
    ours, disk = [], []
    for _ in range(place.sizes.runs):
        read_rate(place.plain / "big")
        with place.mounted(volume) as mount:
            for who, path in ((disk, place.plain / "big"), (ours, mount.path / "big")):
                who.append(_page_rate(path, place.sizes.reads))
    yield median_figure("random pages read, volfs, packs in memory", ours, "1/s")
    yield median_figure("  random pages read, disk, in memory", disk, "1/s")


def read_rate(path: Path, size_of_buffer: int = BUFFER) -> float:
    """MiB/s of reading a file in order with one buffer."""
    buffer = bytearray(size_of_buffer)
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        read = 0
        started = time.perf_counter()
        while count := file.readinto(buffer):
            read += count
        taken = time.perf_counter() - started
    if read != size:
        raise AssertionError(f"{path}: {read} of {size} bytes were read")
    return read / STEP / taken


def _page_rate(path: Path, count: int) -> float:
    with path.open("rb", buffering=0) as file:
        descriptor = file.fileno()
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        pages = os.fstat(descriptor).st_size // PAGE
        offsets = [PAGE * random.randrange(pages) for _ in range(count)]

        def read_all() -> None:
            for offset in offsets:
                os.pread(descriptor, PAGE, offset)

        return count / timed(read_all)


def _make_random() -> list[bytes]:
    return [os.urandom(STEP) for _ in range(64)]


def _make_compressible() -> list[bytes]:
    """Text of random words: zstd makes it about a third, as it does source code."""
    choose = random.Random(1)
    words = [choose.randbytes(choose.randrange(2, 6)).hex().encode() for _ in range(4000)]
    blocks = []
    for _ in range(16):
        text = b" ".join(choose.choices(words, k=STEP // 5))
        blocks.append(text[:STEP])
    return blocks
