"""Packs of a bucket by the interface that the store reads packs by."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.buckets.gates import Gate
from volfs.buckets.cache.cache_layout import BLOCK
from volfs.buckets.cache.cached_bucket import CachedBucket
from volfs.buckets.cache.cached_packs import CachedPacks
from volfs.buckets.cache.disk_cache import DiskCache
from volfs.buckets.objects import ObjectInfo
from volfs.errors import DamagedObjectError, MissingObjectError, ObjectNotFoundError
from volfs.store.packs.source import PackSource

DATA = random.Random(5).randbytes(9 << 20)


@pytest.fixture
def gate() -> Gate:
    return Gate(DATA)


@pytest.fixture
def packs(gate: Gate, tmp_path: Path) -> Iterator[CachedPacks]:
    bucket = CachedBucket(gate, DiskCache(tmp_path, 64 << 20), place="s3://b")
    info = ObjectInfo("packs/aa/aaa", len(DATA), 0, "")
    yield CachedPacks(bucket, lambda pack: info if pack == 7 else None)
    bucket.close()


def test_it_is_a_source_of_packs(packs: CachedPacks) -> None:
    source: PackSource = packs
    assert source.get_size(7) == len(DATA)
    assert source.read_ready(7, 5, 10) is None
    assert source.read_at(7, 5, 10) == DATA[5:15]
    ready = source.read_ready(7, 5, 10)
    assert ready is not None
    assert bytes(ready) == DATA[5:15]
    with pytest.raises(MissingObjectError, match="pack 8"):
        source.read_at(8, 0, 1)
    for read in (source.read_at, source.read_ready):
        with pytest.raises(DamagedObjectError, match="pack 7 ends within the 10 bytes"):
            read(7, len(DATA) - 9, 10)


def test_prefetched_neighbours_come_together(packs: CachedPacks, gate: Gate) -> None:
    gate.close()
    for number in range(60):
        packs.prefetch(7, number * 2 * BLOCK, BLOCK)
    gate.wait_for_requests(1)
    gate.open()
    for number in range(60):
        start = number * 2 * BLOCK
        assert packs.read_at(7, start, BLOCK) == DATA[start : start + BLOCK]
    assert len(gate.asked) < 40  # How many come alone depends on when threads wake up.


def test_scattered_reads_are_not_followed(packs: CachedPacks, gate: Gate) -> None:
    packs.expect_scattered(7)
    for start in range(0, 1 << 20, BLOCK):
        assert packs.read_at(7, start, BLOCK) == DATA[start : start + BLOCK]
    assert sum(end - start for start, end in gate.asked) == 1 << 20


def test_a_pack_that_is_gone_is_missing(packs: CachedPacks, gate: Gate) -> None:
    def refuse(start: int, end: int) -> bytes:
        raise ObjectNotFoundError("packs/aa/aaa: gone")

    gate.answer = refuse
    with pytest.raises(MissingObjectError, match="pack 7: packs/aa/aaa: gone"):
        packs.read_at(7, 0, 1)
    packs.forget(7)
    packs.forget(7)
    packs.close()
