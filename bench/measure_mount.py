"""How long `volfs mount` takes, from the start of the command to its end."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import Figure, FigureTarget, median_figure
from bench.workplace import Workplace, timed

TARGET = FigureTarget(0.5)


def measure_mount(place: Workplace) -> Iterator[Figure]:
    """The whole command; the mount answers when it returns. Small and large volume in turn."""
    sizes = (place.sizes.few, place.sizes.many)
    volumes = [place.make_filled_volume(files) for files in sizes]
    seconds: dict[str, list[float]] = {volume: [] for volume in volumes}
    for number in range(2 * place.sizes.runs + 2):
        for volume in volumes:
            path = place.directory / place.new_name("once")
            path.mkdir()
            taken = _mount_once(place, volume, str(path))
            if number > 0:  # the first ones compile the modules
                seconds[volume].append(taken)
    for files, volume in zip(sizes, volumes, strict=True):
        yield median_figure(f"mount, {files:,} files", seconds[volume], "s", TARGET)


def _mount_once(place: Workplace, volume: str, path: str) -> float:
    taken = timed(lambda: place.volfs("mount", volume, path))
    place.volfs("umount", path)
    return taken
