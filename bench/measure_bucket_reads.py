"""How fast objects of a bucket are read: raw obstore, volfs cold, volfs from its cache.

A SeaweedFS on loopback, one object of random bytes; the three take turns in one run, and
each time the cache is a new one. ``python -m bench.measure_bucket_reads [--size MIB]
[--rounds N]``; obstore: ``pip install obstore``.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
from obstore.store import S3Store

from bench.bucket_place import open_raw
from tests.harness.bucket_servers import create_s3_bucket, open_s3_bucket
from tests.harness.servers import SeaweedServer
from volfs.buckets.access import Bucket
from volfs.buckets.cache.cached_bucket import CachedBucket, CachedObject, open_cached_bucket
from volfs.buckets.cache.disk_cache import DiskCache

MIB = 1 << 20
STEP = MIB
RAW_PARTS, RAW_THREADS = (4 * MIB, 8 * MIB), (4, 8, 16)


def upload(bucket: Bucket, size: int) -> None:
    parts = bucket.open_multipart("object")
    for number in range(size // (16 * MIB)):
        parts.put_part(number + 1, random.randbytes(16 * MIB))
    parts.complete()


def read_raw(store: S3Store, size: int, part: int, threads: int) -> None:
    """Ranges of the object by so many threads, kept by nobody."""

    def read(start: int) -> int:
        return len(obstore.get_range(store, "object", start=start, length=part))

    with ThreadPoolExecutor(threads) as pool:
        assert sum(pool.map(read, range(0, size, part))) == size


def read_through(thing: CachedObject) -> None:
    """As FUSE reads: what is ready at once, and the rest by waiting."""
    for at in range(0, thing.size, STEP):
        data = thing.read_ready(at, STEP)
        data = thing.read_at(at, STEP) if data is None else data
        assert len(data) == min(STEP, thing.size - at)


def measure(act: Callable[[], None], size: int) -> float:
    """MiB a second."""
    began = time.perf_counter()
    act()
    return size / MIB / (time.perf_counter() - began)


class Bench:
    def __init__(self, folder: Path, size: int) -> None:
        self.size = size
        self.folder = folder
        self.server = SeaweedServer(folder / "server")
        self.name = create_s3_bucket(self.server)
        self.bucket = open_s3_bucket(self.server, self.name)
        upload(self.bucket, size)
        self.info = self.bucket.head("object")
        self.store = open_raw(self.server, self.name)
        self.rounds = 0

    def open_cold(self, limit: int) -> CachedBucket:
        self.rounds += 1
        return open_cached_bucket(self.bucket, DiskCache(self.folder / f"c{self.rounds}", limit))

    def read_bucket(self, part: int, threads: int) -> None:
        """As ``read_raw``, by the requests that volfs sends."""

        def read(start: int) -> int:
            return len(self.bucket.get_range("object", start, part, etag=self.info.etag))

        with ThreadPoolExecutor(threads) as pool:
            assert sum(pool.map(read, range(0, self.size, part))) == self.size

    def run_round(self, found: dict[str, list[float]]) -> None:
        for part in RAW_PARTS:
            for threads in RAW_THREADS:
                label = f"obstore, {part // MIB} MiB, {threads} threads"
                act = lambda p=part, t=threads: read_raw(self.store, self.size, p, t)  # noqa: E731
                found.setdefault(label, []).append(measure(act, self.size))
        for threads in (8, 12):
            raw = measure(lambda t=threads: self.read_bucket(4 * MIB, t), self.size)
            found.setdefault(f"volfs's requests, 4 MiB, {threads} threads", []).append(raw)
        for label, limit in (("volfs cold", 4 * self.size), ("volfs cold, no disk", 0)):
            cached = self.open_cold(limit)
            thing = cached.open(self.info)
            found.setdefault(label, []).append(measure(lambda t=thing: read_through(t), self.size))
            if limit:
                cached.writer.drain(60)
                found.setdefault("kept of it, %", []).append(
                    100 * cached.disk.measure().size / self.size
                )
                thing.close()
                thing = cached.open(self.info)
                warm = measure(lambda t=thing: read_through(t), self.size)
                found.setdefault("volfs, from its cache", []).append(warm)
            thing.close()
            cached.disk.clear() if limit else None
            cached.close()


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--size", type=int, default=512, metavar="MIB")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--folder", default=None)
    said = options.parse_args()
    with tempfile.TemporaryDirectory(dir=said.folder) as folder:
        bench = Bench(Path(folder), said.size * MIB)
        found: dict[str, list[float]] = {}
        try:
            for _ in range(said.rounds):
                bench.run_round(found)
        finally:
            bench.server.close()
    print(f"{os.cpu_count()} processors, {said.size} MiB, MiB/s, median of {said.rounds} rounds")
    for label, values in found.items():
        print(f"{label:36} {statistics.median(values):8.0f}   {min(values):.0f}-{max(values):.0f}")


if __name__ == "__main__":
    main()
