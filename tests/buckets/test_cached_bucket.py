"""Reading objects through memory and disk: right bytes, few requests, clear errors."""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.buckets.gates import Gate
from volfs.buckets.access import open_memory_bucket
from volfs.buckets.cache.cache_layout import BLOCK
from volfs.buckets.cache.cached_bucket import CachedBucket, CachedObject, CacheSource
from volfs.buckets.cache.disk_cache import DiskCache
from volfs.buckets.cache.fetcher import AHEAD
from volfs.buckets.objects import ObjectInfo
from volfs.errors import (
    ObjectChangedError,
    ObjectNotFoundError,
    StoreError,
    StoreTimeoutError,
    StoreUnavailableError,
)

MIB = 1 << 20
Open = Callable[..., CachedBucket]


@pytest.fixture
def cached(tmp_path: Path) -> Iterator[Open]:
    """Makes cached buckets that share one disk cache, and are closed at the end."""
    opened: list[CachedBucket] = []

    def make(source: CacheSource, limit: int = 256 * MIB, **settings: object) -> CachedBucket:
        disk = DiskCache(tmp_path / "cache", limit)
        bucket = CachedBucket(source, disk, place="s3://b", **settings)  # type: ignore[arg-type]
        opened.append(bucket)
        return bucket

    yield make
    for bucket in opened:
        bucket.close()


def open_gate(cached: Open, gate: Gate, **settings: object) -> tuple[CachedBucket, CachedObject]:
    bucket = cached(gate, **settings)
    return bucket, bucket.open(ObjectInfo("key", len(gate.data), 0, '"etag"'))


def in_thread(act: Callable[[], object]) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(1)
    pool.submit(act)
    return pool


DATA = random.Random(1).randbytes(40 * MIB + 12345)

# --- right bytes --------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1 << 30), limit=st.sampled_from([0, 3 * MIB, 64 * MIB]))
def test_any_reads_in_any_order_give_the_right_bytes(
    tmp_path_factory: pytest.TempPathFactory, seed: int, limit: int
) -> None:
    """Sequential, random, from several threads, with a cache that is deleted now and then."""
    chance, size = random.Random(seed), random.Random(seed).choice([1, 70_000, 9 * MIB + 7])
    disk, gate = DiskCache(tmp_path_factory.mktemp("cache"), limit), Gate(DATA[:size])
    bucket = CachedBucket(gate, disk, place="p", memory=chance.choice([MIB, 64 * MIB]))
    thing = bucket.open(ObjectInfo("key", size, 0, '"e"'))

    def read(place: int) -> None:
        own, at = random.Random(place), 0
        for number in range(25):
            at = at if own.random() < 0.7 else own.randrange(size)
            length = own.choice([1, 4096, 131072, 2 * MIB])
            data = thing.read_ready(at, length) if own.random() < 0.5 else None
            data = thing.read_at(at, length) if data is None else data
            assert bytes(data) == gate.data[at : at + length]
            at += length
            if number % 10 == place and place:
                shutil.rmtree(disk.place.path, ignore_errors=True)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(read, range(3)))
    thing.close()
    bucket.close()


def test_what_was_read_once_is_fetched_by_nobody_again(cached: Open) -> None:
    gate = Gate(DATA)
    first, thing = open_gate(cached, gate)
    for at in range(0, len(DATA), MIB):
        assert bytes(thing.read_at(at, MIB)) == DATA[at : at + MIB]
    assert first.fetched == len(DATA)
    assert sorted(gate.asked)[0] == (0, MIB)
    assert first.writer.drain(30)
    gate.asked.clear()
    second, again = open_gate(cached, gate)  # as another process has it
    ready = 0
    for at in range(0, len(DATA), MIB):
        assert bytes(again.read_at(at, MIB)) == DATA[at : at + MIB]
        data = again.read_ready(at, MIB)
        assert data is None or bytes(data) == DATA[at : at + MIB]
        ready += data is not None
    assert ready > 20, "most of it is in the page cache"
    assert not gate.asked
    assert second.fetched == 0


def test_the_end_of_an_object_ends_reads(cached: Open) -> None:
    _, thing = open_gate(cached, Gate(DATA[:100]))
    assert bytes(thing.read_at(90, 50)) == DATA[90:100]
    assert thing.read_at(100, 5) == thing.read_ready(500, 5) == b""
    _, empty = open_gate(cached, Gate(b""))
    assert empty.read_at(0, 10) == b""


def test_what_was_uploaded_needs_no_request(cached: Open) -> None:
    gate = Gate(DATA)
    bucket, thing = open_gate(cached, gate)
    info = ObjectInfo("key", len(DATA), 0, '"etag"')
    bucket.keep(info, DATA[: 4 * MIB])
    bucket.keep(info, DATA[4 * MIB :], 4 * MIB)
    bucket.keep(info, b"wrong", 3)
    assert bucket.writer.drain(30)
    assert bytes(thing.read_at(3 * MIB, 2 * MIB)) == DATA[3 * MIB : 5 * MIB]
    assert not gate.asked


@pytest.mark.parametrize("seed", range(8))
def test_damage_in_the_cache_is_fetched_anew_in_silence(cached: Open, seed: int) -> None:
    chance, gate = random.Random(seed), Gate(DATA[: 6 * MIB])
    bucket, thing = open_gate(cached, gate)
    thing.read_at(0, len(gate.data))
    assert bucket.writer.drain(30)
    bucket.fetcher.drop_ahead(thing._target.content)
    (path,) = bucket.disk.place.path.glob("??/*")
    blocks = sorted(chance.sample(range(96), 5))
    with path.open("r+b") as file:
        for block in blocks:
            file.seek(block * BLOCK + chance.randrange(BLOCK))
            file.write(bytes([chance.randrange(256), chance.randrange(256)]))
    gate.asked.clear()
    assert bytes(thing.read_at(0, len(gate.data))) == gate.data, "by who read it before, too"
    assert sum(end - start for start, end in gate.asked) < 3 * MIB
    assert bucket.disk.damaged
    assert bucket.writer.drain(30)
    gate.asked.clear()
    other, again = open_gate(cached, gate)
    assert bytes(again.read_at(0, len(gate.data))) == gate.data
    assert not gate.asked, "and it is sound again"
    assert not other.disk.damaged


# --- requests -----------------------------------------------------------------


def test_one_request_for_all_who_want_the_same(cached: Open) -> None:
    gate = Gate(DATA, is_open=False)
    bucket, thing = open_gate(cached, gate)
    same = bucket.open(ObjectInfo("key", len(DATA), 0, '"etag"'))
    with ThreadPoolExecutor(8) as pool:
        reads = [pool.submit(one.read_at, 7, 40_000) for one in (thing, same) * 4]
        gate.wait_for_requests(1)
        gate.open()
        assert all(bytes(read.result()) == DATA[7:40_007] for read in reads)
    assert gate.asked == [(0, BLOCK)]


def test_neighbours_are_asked_for_together(cached: Open) -> None:
    gate = Gate(DATA)
    bucket, thing = open_gate(cached, gate)
    for block in (1, 3, 8):
        thing.read_at(block * BLOCK, 10)
    assert bucket.writer.drain(30)
    bucket.fetcher.drop_ahead(thing._target.content)
    gate.asked.clear()
    thing = bucket.open(ObjectInfo("key", len(DATA), 0, '"etag"'))
    assert bytes(thing.read_at(0, 20 * BLOCK)) == DATA[: 20 * BLOCK]
    assert len(gate.asked) == 1, "what lies between is less than another request"


def test_nobody_asks_for_more_than_8_mib_at_once(cached: Open) -> None:
    gate = Gate(DATA)
    _, thing = open_gate(cached, gate)
    assert bytes(thing.read_at(0, len(DATA))) == DATA
    assert max(end - start for start, end in gate.asked) == 8 * MIB


def test_random_reads_fetch_a_block_each(cached: Open) -> None:
    gate = Gate(DATA)
    bucket, thing = open_gate(cached, gate)
    places = random.Random(3).sample(range(0, 40 * MIB, MIB), 30)
    for at in places:
        assert bytes(thing.read_at(at + 5, 4096)) == DATA[at + 5 : at + 4101]
    assert len(gate.asked) == 30
    assert bucket.fetched == 30 * BLOCK


def test_what_is_wanted_goes_before_what_is_read_ahead(cached: Open) -> None:
    gate = Gate(DATA, is_open=False)
    _, thing = open_gate(cached, gate, count_slots=lambda: 4)
    thing.prefetch(8 * MIB, 30 * MIB)
    gate.wait_for_requests(3)  # three quarters of the places
    pool = in_thread(lambda: thing.read_at(0, 10))
    gate.wait_for_requests(4)
    assert gate.asked[3] == (0, BLOCK)
    gate.open()
    pool.shutdown()


def test_who_wants_what_waits_to_be_read_ahead_gets_it_first(cached: Open) -> None:
    gate = Gate(DATA, is_open=False)
    _, thing = open_gate(cached, gate, count_slots=lambda: 1)
    thing.prefetch(0, 32 * MIB)
    gate.wait_for_requests(1)
    pool = in_thread(lambda: thing.read_at(30 * MIB, 10))
    gate.wait_for_requests(2)
    assert gate.asked == [(0, 4 * MIB), (28 * MIB, 32 * MIB)]
    gate.open()
    pool.shutdown()


def test_closing_ends_what_is_read_ahead(cached: Open) -> None:
    gate = Gate(DATA, is_open=False)
    bucket, thing = open_gate(cached, gate)
    thing.prefetch(0, 36 * MIB)
    other = bucket.open(ObjectInfo("key", len(DATA), 0, '"etag"'))
    gate.wait_for_requests(8)
    other.close()
    other.close()
    gate.wait_for_requests(9)
    thing.close()
    flying = len(gate.asked)
    gate.open()
    assert bytes(bucket.open(ObjectInfo("key", len(DATA), 0, '"etag"')).read_at(0, 5)) == DATA[:5]
    assert len(gate.asked) == flying == 9 < AHEAD


@pytest.mark.parametrize("limit", [0, 256 * MIB])
def test_a_sequential_reader_finds_all_there(cached: Open, limit: int) -> None:
    """And what is read ahead of it is fetched once, with or without a disk."""
    gate = Gate(DATA)
    bucket, thing = open_gate(cached, gate, limit=limit)
    for at in range(0, len(DATA), 128 << 10):
        data = thing.read_ready(at, 128 << 10)
        data = thing.read_at(at, 128 << 10) if data is None else data
        assert bytes(data) == DATA[at : at + (128 << 10)]
    assert bucket.fetched == len(DATA)
    assert len(gate.asked) < 20


def test_readers_who_all_wait_for_one_flight_do_not_end_read_ahead(cached: Open) -> None:
    """As the kernel reads: several requests at once, and none finds its bytes in memory."""
    data = DATA * 3
    gate = Gate(data)
    bucket, thing = open_gate(cached, gate, limit=0, memory=24 * MIB)
    with ThreadPoolExecutor(4) as pool:
        for at in range(0, len(data), 4 * MIB):
            reads = [pool.submit(thing.read_at, at + n * MIB, MIB) for n in range(4)]
            for number, read in enumerate(reads):
                start = at + number * MIB
                assert bytes(read.result()) == data[start : start + MIB]
    assert bucket.fetched <= len(data) + 8 * MIB
    assert len(gate.asked) < 60, "most requests are those of read-ahead"


def test_what_nobody_came_for_does_not_end_read_ahead(cached: Open) -> None:
    """Readers who went elsewhere leave bytes in memory that they have not read."""
    data = DATA * 4
    _, thing = open_gate(cached, gate := Gate(data), limit=0, memory=48 * MIB)
    for place in range(6):
        start = place * 25 * MIB
        for at in range(start, start + 3 * MIB, MIB):
            thing.read_at(at, MIB)
    gate.asked.clear()
    start = 4 * MIB
    for at in range(start, start + 96 * MIB, MIB):
        assert bytes(thing.read_at(at, MIB)) == data[at : at + MIB]
    assert len(gate.asked) < 72, "again by larger requests, ahead of the reader"


def test_who_wants_what_waits_for_memory_gets_it(cached: Open) -> None:
    """Nobody has read what fills the memory, and the threads are idle."""
    bucket, thing = open_gate(cached, Gate(DATA), limit=0, memory=8 * MIB, deadline=3.0)
    thing.prefetch(0, 8 * MIB)
    assert bytes(thing.read_at(0, 10)) == DATA[:10]
    assert bytes(thing.read_at(4 * MIB, 10)) == DATA[4 * MIB : 4 * MIB + 10]
    assert bucket.fetched == 8 * MIB
    thing.prefetch(16 * MIB, 4 * MIB)
    assert bytes(thing.read_at(17 * MIB, 10)) == DATA[17 * MIB : 17 * MIB + 10]


# --- errors -------------------------------------------------------------------


def test_an_object_that_was_replaced_is_never_mixed(cached: Open) -> None:
    source = open_memory_bucket()
    old, new = DATA[: 4 * MIB], DATA[4 * MIB : 8 * MIB]
    bucket = cached(source)
    thing = bucket.open(source.put("key", old))
    assert bytes(thing.read_at(MIB, 100)) == old[MIB : MIB + 100]
    after = bucket.open(source.put("key", new))
    assert bytes(thing.read_at(MIB, 100)) == old[MIB : MIB + 100], "it is cached"
    with pytest.raises(ObjectChangedError):
        thing.read_at(0, len(old))
    assert bytes(after.read_at(0, len(new))) == new
    source.delete("key")
    with pytest.raises((ObjectChangedError, ObjectNotFoundError)):
        thing.read_at(3 * MIB, 5)
    source.close()


def test_each_who_waits_hears_of_the_error(cached: Open) -> None:
    gate = Gate(DATA, is_open=False)

    def refuse(start: int, end: int) -> bytes:
        raise StoreUnavailableError("the bucket is away")

    gate.answer = refuse
    _, thing = open_gate(cached, gate)
    with ThreadPoolExecutor(6) as pool:
        reads = [pool.submit(thing.read_at, 0, 10) for _ in range(6)]
        gate.wait_for_requests(1)
        gate.open()
        errors = [read.exception() for read in reads]
    assert {str(error) for error in errors} == {"the bucket is away"}
    assert len({id(error) for error in errors}) == 6, "to each his own"
    gate.answer = lambda start, end: DATA[start:end]
    assert bytes(thing.read_at(0, 10)) == DATA[:10], "and the next read tries again"


def test_read_ahead_that_fails_harms_nobody(cached: Open) -> None:
    gate, failed = Gate(DATA), threading.Event()

    def fail_far_away(start: int, end: int) -> bytes:
        if start > 4 * MIB and not failed.is_set():
            failed.set()
            raise StoreUnavailableError("away")
        return DATA[start:end]

    gate.answer = fail_far_away
    bucket, thing = open_gate(cached, gate)
    for at in range(0, len(DATA), MIB):
        assert bytes(thing.read_at(at, MIB)) == DATA[at : at + MIB]
    assert failed.is_set()
    assert bucket.fetched <= len(DATA) + 8 * MIB


@pytest.mark.parametrize("short", [0, 1, BLOCK - 1])
def test_bodies_that_come_short_are_asked_for_again(cached: Open, short: int) -> None:
    gate = Gate(DATA)
    gate.answer = lambda start, end: DATA[start : start + short if len(gate.asked) < 3 else end]
    _, thing = open_gate(cached, gate)
    assert bytes(thing.read_at(0, 10)) == DATA[:10]
    gate.answer = lambda start, end: DATA[start : start + short]
    with pytest.raises(StoreUnavailableError, match="came instead of"):
        thing.read_at(BLOCK, 10)


def test_nobody_waits_longer_than_he_said(cached: Open) -> None:
    gate = Gate(DATA, is_open=False)
    _, thing = open_gate(cached, gate, deadline=0.05)
    with pytest.raises(StoreTimeoutError, match="key: the bytes from 0 on"):
        thing.read_at(0, 10)
    gate.open()


def test_who_waits_when_it_is_closed_hears_so(cached: Open) -> None:
    gate = Gate(DATA, is_open=False)
    bucket, thing = open_gate(cached, gate)
    with ThreadPoolExecutor(50) as pool:
        reads = [pool.submit(thing.read_at, n * BLOCK * 8, 10) for n in range(50)]
        gate.wait_for_requests(48)
        bucket.close()
        gate.open()
        errors = [read.exception() for read in reads]
    assert sum(isinstance(error, StoreUnavailableError) for error in errors) == 2
    with pytest.raises(StoreUnavailableError, match="was closed"):
        thing.read_at(39 * MIB, 1)


def test_a_fork_is_told_that_it_has_no_bucket(cached: Open) -> None:
    _, thing = open_gate(cached, Gate(DATA))
    assert bytes(thing.read_at(0, 10)) == DATA[:10]
    child = os.fork()
    if not child:
        try:
            for read in (thing.read_at, thing.read_ready):
                with pytest.raises(StoreError, match="fork"):
                    read(0, 10)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
