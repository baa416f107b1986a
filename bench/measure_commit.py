"""What a commit of one changed file costs, in small and in large volumes."""

from __future__ import annotations

import os
import random
import statistics
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, FigureTarget, median_figure, ratio_figure
from bench.workplace import MountedVolume, Workplace, small_file_path, timed

MILLISECONDS = 1000
ROUNDS = 100


def measure_commit(place: Workplace) -> Iterator[Figure]:
    """One file of 4 KiB written anew, then a commit; the three volumes in turn.

    The time is that of the commit alone, asked for on the control socket. For
    comparison: the same bytes written to a plain file, and fsync.
    """
    sizes = place.sizes
    shapes = {
        "small": (sizes.few, sizes.few),
        "spread": (sizes.many, 100),
        "flat": (sizes.many, sizes.flat),
    }
    mounts = {name: place.mount(place.make_filled_volume(*shape)) for name, shape in shapes.items()}
    seconds: dict[str, list[float]] = {name: [] for name in (*shapes, "fsync")}
    for number in range(sizes.rounds + 2):
        for name, (files, per_directory) in shapes.items():
            path = small_file_path(random.randrange(files), per_directory)
            taken = _commit_one(mounts[name], mounts[name].path / os.fsdecode(b"/".join(path)))
            if number >= 2:  # the first ones read the trees
                seconds[name].append(taken)
        seconds["fsync"].append(timed(lambda: _write_and_sync(place.plain / "one")))
    for mount in mounts.values():
        mount.client.unmount()
    many, flat = f"{sizes.many:,} files", f"flat directories of {sizes.flat:,}"
    yield ratio_figure(
        f"commit of one file: {many} / {sizes.few}",
        seconds["spread"],
        seconds["small"],
        FigureTarget(1.5),
    )
    yield ratio_figure(
        f"commit of one file: {flat} / {sizes.few}",
        seconds["flat"],
        seconds["small"],
        FigureTarget(1.5),
    )
    labels = {"small": f"{sizes.few} files", "spread": many, "flat": flat}
    for name, label in labels.items():
        samples = [MILLISECONDS * value for value in seconds[name]]
        yield median_figure(f"commit of one file, {label}", samples, "ms", FigureTarget(20))
    plain = [MILLISECONDS * value for value in seconds["fsync"]]
    yield median_figure("  one file written and fsynced on the disk", plain, "ms")


def _commit_one(mount: MountedVolume, path: Path) -> float:
    path.write_bytes(os.urandom(4096))
    return timed(mount.client.commit)


def _write_and_sync(path: Path) -> None:
    with path.open("wb") as file:
        file.write(os.urandom(4096))
        file.flush()
        os.fsync(file.fileno())


def measure_rounds(place: Workplace) -> Iterator[Figure]:
    """A hundred times: write a small file, commit. And the command for it, Python's start in it."""
    volume = place.make_filled_volume(place.sizes.few)
    with place.mounted(volume) as mount:
        runs = [timed(lambda: _write_and_commit(mount)) for _ in range(place.sizes.runs)]
        command = []
        for number in range(place.sizes.runs * 2 + 1):
            (mount.path / f"by-command-{number}").write_bytes(b"x")
            command.append(timed(lambda: place.volfs("commit", str(mount.path))))
    yield median_figure(f"{ROUNDS} rounds of write and commit", runs, "s", FigureTarget(3))
    yield Figure("the whole command `volfs commit`", statistics.median(command), "s")


def _write_and_commit(mount: MountedVolume) -> None:
    for number in range(ROUNDS):
        (mount.path / f"round-{number}").write_bytes(os.urandom(512))
        mount.client.commit()
