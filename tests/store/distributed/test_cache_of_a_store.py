"""What a machine keeps of a store is lost, cut and changed while others read through it.

``tests/buckets/test_cache_processes.py`` has processes that die by kill -9, and the account of the
cache afterwards.
"""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.store.contract import add, make_record, noise, run_threads
from tests.store.distributed.two_engines import MIB, BucketMachine
from volfs.buckets.access import Bucket
from volfs.buckets.cache.disk_cache import DiskCache
from volfs.model.objects import Oid
from volfs.store.distributed.data.place_finder import PlaceFinder
from volfs.store.distributed.data.volume_packs import VolumePacks
from volfs.store.packs.rows import IndexEntry

VOLUME = make_record().id
ROUNDS, READERS = 6, 3
SIZES = (300, 20_000, 200_000, 200_001, 3 * MIB)


@pytest.fixture
def put(memory: Bucket, tmp_path: Path) -> dict[Oid, bytes]:
    """Objects in lines and in packs."""
    machine = BucketMachine(memory, tmp_path / "first")
    machine.refs.create_volume(make_record(), b"manifest 0")
    found = {}
    for number, size in enumerate(SIZES):
        data = [noise(size, number), noise(size, 100 + number)]
        found |= dict(zip(add(machine, VOLUME, *data), data, strict=True))
    machine.close()
    return found


class Vandal:
    """Does to a directory what a disk, or a person with a wrong idea, does to it."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._directory = directory
        self._chance = random.Random(seed)
        self.done: set[str] = set()

    def act(self) -> None:
        actions: tuple[Callable[[], None], ...] = (self.wipe, self.cut, self.flip, self.flip)
        try:
            self._chance.choice(actions)()
        except OSError:
            pass  # The file is gone meanwhile.

    def wipe(self) -> None:
        for name in ("disk", "cache"):
            shutil.rmtree(self._directory / name, ignore_errors=True)
        self.done.add("wiped")

    def cut(self) -> None:
        with self._choose().open("r+b") as file:
            file.truncate(self._chance.randrange(max(1, file.seek(0, 2))))
        self.done.add("cut")

    def flip(self) -> None:
        with self._choose().open("r+b") as file:
            at = self._chance.randrange(max(1, file.seek(0, 2)))
            file.seek(at)
            byte = file.read(1) or b"\0"
            file.seek(at)
            file.write(bytes([byte[0] ^ 1 << self._chance.randrange(8)]))
        self.done.add("flipped")

    def _choose(self) -> Path:
        """A file of the disk cache. (LMDB files that are open are not written by others.)"""
        files = sorted(path for path in (self._directory / "disk").rglob("*") if path.is_file())
        if not files:
            raise FileNotFoundError
        return self._chance.choice(files)


def read_while(vandal: Vandal, machine: BucketMachine, put: dict[Oid, bytes]) -> None:
    """Readers read everything, and the vandal acts until the first of them is done."""
    over = threading.Event()

    def work(number: int) -> None:
        if number == READERS:
            while not over.wait(0.002):
                vandal.act()
            return
        try:
            for oid, data in put.items():
                assert machine.objects_of(VOLUME).load_object(oid) == data
        finally:
            over.set()

    run_threads(READERS + 1, work)
    machine.close()


@pytest.mark.parametrize("seed", range(2))
def test_26_the_cache_is_wiped_cut_and_flipped_under_readers(
    memory: Bucket, put: dict[Oid, bytes], tmp_path: Path, seed: int
) -> None:
    """Everything is read, and nothing wrong."""
    place = tmp_path / "machine"
    vandal = Vandal(place, seed)
    for _ in range(ROUNDS):
        read_while(vandal, BucketMachine(memory, place), put)
    while vandal.done != {"wiped", "cut", "flipped"}:
        machine = BucketMachine(memory, place)
        for oid, data in put.items():
            assert machine.objects_of(VOLUME).load_object(oid) == data
        machine.close()
        vandal.act()


def test_26_two_daemons_fetch_one_range(
    memory: Bucket, put: dict[Oid, bytes], tmp_path: Path
) -> None:
    """Both get it, and the account has it once."""
    place = tmp_path / "machine"
    both = [BucketMachine(memory, place) for _ in range(2)]
    begin = threading.Barrier(2)

    def work(number: int) -> None:
        objects = both[number].objects_of(VOLUME)
        begin.wait(60)
        for oid, data in put.items():
            assert objects.load_object(oid) == data

    run_threads(2, work)
    for machine in both:
        machine.close()
    disk = DiskCache(place / "disk", 256 * MIB)
    stored = sum(path.stat().st_blocks * 512 for path in (place / "disk").rglob("*"))
    assert stored <= disk.measure().size + MIB <= 2 * sum(map(len, put.values())) + 4 * MIB


def test_26_another_is_faster_with_the_rows_of_a_pack(
    memory: Bucket, put: dict[Oid, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread, or daemon, puts them after this one has looked for the object, and before it
    asks which packs it has to read: none is left then, and the object is there all the same."""
    machine = BucketMachine(memory, tmp_path / "machine")
    finder = machine.engine.volumes.data.finder
    search, other = finder.search, PlaceFinder(finder.packs)

    def search_late(volume: VolumePacks, oid: Oid) -> IndexEntry | None:
        other.learn_tail(volume)
        return search(volume, oid)

    monkeypatch.setattr(finder, "search", search_late)
    for oid, data in put.items():
        assert machine.objects_of(VOLUME).load_object(oid) == data
    machine.close()
