"""Several processes at one cache, killed at any moment; and a disk that stands still."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.buckets.cache_sizes import measure_disk
from tests.buckets.gates import Gate
from tests.harness.disk import mounted_disk
from volfs.buckets.cache.cached_bucket import CachedBucket
from volfs.buckets.cache.disk_cache import DiskCache
from volfs.buckets.objects import ObjectInfo

MIB = 1 << 20
LIMIT = 12 * MIB
USER = """
import random, sys
from contextlib import suppress
from pathlib import Path
from volfs.buckets.cache.cache_layout import BLOCK, make_content
from volfs.buckets.cache.disk_cache import DiskCache
place, seed, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance, cache = random.Random(seed), DiskCache(place, limit)
whole = {number: random.Random(number).randbytes(number * 700_000 + 5) for number in range(1, 7)}
print("ready", flush=True)
while True:
    number = chance.randrange(1, 7)
    data = whole[number]
    content = make_content("p", f"k{number}", "e", len(data))
    first = chance.randrange(-(-len(data) // BLOCK)) * BLOCK
    part = data[first : first + chance.randrange(1, 6) * BLOCK]
    if chance.random() < 0.6:
        cache.write(content, first, part)
    found = cache.read(content, first, first + len(part))
    assert found is None or bytes(found) == part, "wrong bytes"
    for at, piece in cache.read_present(content, 0, len(data)):
        assert bytes(piece) == data[at : at + len(piece)], "wrong bytes"
    if chance.random() < 0.01:
        with suppress(TimeoutError):  # one of the others was stopped while it had the lock
            cache.clear()
    if chance.random() < 0.05:
        cache.note_uses()
"""


def start(place: Path, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", USER, str(place), str(seed), str(LIMIT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def measure_at_rest(place: Path, processes: list[subprocess.Popen[bytes]]) -> int:
    """What all of it takes at one moment: while somebody writes, no walk can tell."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    for process in processes:
        os.waitpid(process.pid, os.WUNTRACED)
    try:
        return measure_disk(place / "buckets")
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)
            os.waitpid(process.pid, os.WCONTINUED)


@pytest.mark.parametrize(("seed", "rounds"), [(1, 6), pytest.param(2, 150, marks=pytest.mark.slow)])
def test_processes_share_a_cache_and_die_as_they_like(
    tmp_path: Path, seed: int, rounds: int
) -> None:
    chance = random.Random(seed)
    processes = [start(tmp_path, number) for number in range(3)]
    largest = 0
    try:
        for number in range(rounds):
            for _ in range(chance.randrange(1, 6)):
                largest = max(largest, measure_at_rest(tmp_path, processes))
            victim = processes.pop(0)
            assert victim.poll() is None, victim.communicate()[1].decode()
            victim.send_signal(signal.SIGSTOP if chance.random() < 0.3 else signal.SIGKILL)
            processes.append(start(tmp_path, 100 + number))
            victim.kill()
            victim.communicate()
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert MIB < largest <= LIMIT
    cache = DiskCache(tmp_path, LIMIT)
    assert abs(cache.measure().size - measure_disk(tmp_path / "buckets")) <= 8192
    cache.clear()
    assert cache.measure().files == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can freeze a disk")
def test_a_disk_that_stands_still_stops_no_reader(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(24 * MIB)
    gate = Gate(data)
    with mounted_disk(tmp_path, "ext4") as disk:
        bucket = CachedBucket(gate, DiskCache(disk.path / "cache", 40 * MIB), place="p")
        thing = bucket.open(ObjectInfo("key", len(data), 0, '"e"'))
        assert bytes(thing.read_at(0, MIB)) == data[:MIB]
        assert bucket.writer.drain(30)
        disk.freeze()
        try:
            for at in range(0, len(data), MIB):
                assert bytes(thing.read_at(at, MIB)) == data[at : at + MIB]
            new = CachedBucket(gate, DiskCache(disk.path / "cache", 40 * MIB), place="p")
            again = new.open(ObjectInfo("key", len(data), 0, '"e"'))
            for at in range(0, len(data), MIB):
                assert bytes(again.read_at(at, MIB)) == data[at : at + MIB]
            new.close()
        finally:
            disk.thaw()
        assert bucket.writer.drain(30)
        thing.close()
        bucket.close()
