"""Many small things: creating files, small writes, walking a tree, reloading it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.figures import Figure, FigureTarget, median_figure, ratio_figure
from bench.machine import can_drop_caches, drop_caches
from bench.workplace import Workplace, small_file_path, timed

MILLISECONDS = 1000
PAGE = 4096
SMALL = 1024


def measure_create(place: Workplace) -> Iterator[Figure]:
    """Files of 4 KiB made one after the other in a new directory: open, write, close."""
    count = place.sizes.creations
    ours, disk = [], []
    with place.mounted(place.make_volume(place.new_name("create"))) as mount:
        for number in range(place.sizes.runs):
            for who, root in ((disk, place.plain), (ours, mount.path)):
                directory = root / f"new-{number}"
                directory.mkdir()
                who.append(count / timed(lambda d=directory: _create_files(d, count)))
            mount.client.commit()
    yield median_figure(
        "4 KiB files created, volfs", ours, "1/s", FigureTarget(1500, at_least=True)
    )
    yield median_figure("  4 KiB files created, disk", disk, "1/s")
    yield ratio_figure("4 KiB files created: volfs / disk", ours, disk)


def _create_files(directory: Path, count: int) -> None:
    block = os.urandom(PAGE)
    for number in range(count):
        data = number.to_bytes(8, "big") + block[8:]
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(f"{directory}/{number}", flags, 0o644)
        os.write(descriptor, data)
        os.close(descriptor)


def measure_writes(place: Workplace) -> Iterator[Figure]:
    """Writes of 1 KiB to the end of one open file."""
    count = place.sizes.writes
    ours, disk = [], []
    with place.mounted(place.make_volume(place.new_name("writes"))) as mount:
        for _ in range(place.sizes.runs):
            for who, path in ((disk, place.plain / "log"), (ours, mount.path / "log")):
                who.append(count / timed(lambda p=path: _append(p, count)))
    yield median_figure("1 KiB writes, volfs", ours, "1/s")
    yield median_figure("  1 KiB writes, disk", disk, "1/s")


def _append(path: Path, count: int) -> None:
    data = os.urandom(SMALL)
    with path.open("wb", buffering=0) as file:
        for _ in range(count):
            file.write(data)


def measure_small_reads(place: Workplace) -> Iterator[Figure]:
    """Every file of a directory opened, read and closed: 4 KiB each, cold, then again."""
    count = place.sizes.creations
    rates: dict[str, list[float]] = {
        f"{who}, {state}": [] for who in ("volfs", "disk") for state in ("cold", "warm")
    }
    volume = place.make_volume(place.new_name("small"))
    with place.mounted(volume) as mount:
        for root in (place.plain, mount.path):
            (root / "small").mkdir()
            _create_files(root / "small", count)
        mount.client.commit()
    for _ in range(place.sizes.runs):
        with place.mounted(volume) as mount:
            for who, root in (("disk", place.plain), ("volfs", mount.path)):
                if can_drop_caches():
                    drop_caches()
                for state in ("cold", "warm"):
                    taken = timed(partial(_read_files, root / "small", count))
                    rates[f"{who}, {state}"].append(count / taken)
    for name, samples in rates.items():
        yield median_figure(f"4 KiB files read, {name}", samples, "1/s")


def _read_files(directory: Path, count: int) -> None:
    for number in range(count):
        descriptor = os.open(f"{directory}/{number}", os.O_RDONLY)
        if len(os.read(descriptor, 2 * PAGE)) != PAGE:
            raise AssertionError(f"{directory}/{number}: not what was written")
        os.close(descriptor)


def measure_walk(place: Workplace) -> Iterator[Figure]:
    """Every name listed and every file asked for its attributes, the first and the second time."""
    files = place.sizes.many
    volume = place.make_filled_volume(files)
    cold, warm = [], []
    for _ in range(place.sizes.runs):
        with place.mounted(volume) as mount:
            if can_drop_caches():
                drop_caches()
            cold.append(files / timed(lambda m=mount: _walk(m.path, files)))
            warm.append(files / timed(lambda m=mount: _walk(m.path, files)))
    yield median_figure(f"readdir and stat, first time, {files:,} files", cold, "1/s")
    yield median_figure(f"readdir and stat, again, {files:,} files", warm, "1/s")


def _walk(root: Path, files: int) -> None:
    found = 0
    for path, _, names in os.walk(root):
        for name in names:
            os.stat(f"{path}/{name}")
            found += 1
    if found < files:
        raise AssertionError(f"{root}: {found} files, not {files}")


def measure_reload(place: Workplace) -> Iterator[Figure]:
    """A mount that has looked at every file is told of one that others changed."""
    sizes = place.sizes
    shapes = (("spread", 100), (f"flat directories of {sizes.flat:,}", sizes.flat))
    for label, per_directory in shapes:
        volume = place.make_filled_volume(sizes.many, per_directory)
        seconds = []
        with place.mounted(volume) as writer, place.mounted(volume) as reader:
            _walk(reader.path, sizes.many)
            for number in range(sizes.rounds):
                name = os.fsdecode(b"/".join(small_file_path(number * 7, per_directory)))
                data = os.urandom(PAGE)
                (writer.path / name).write_bytes(data)
                writer.client.commit()
                seconds.append(MILLISECONDS * timed(reader.client.reload))
                if (reader.path / name).read_bytes() != data:
                    raise AssertionError(f"{name}: not what was committed")
        name = f"reload of one file's difference, {sizes.many:,} files, {label}"
        yield median_figure(name, seconds, "ms")
