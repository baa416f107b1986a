"""The disk cache: right bytes or none, bounded, and nobody's problem when its disk is one."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.buckets.cache_sizes import measure_disk
from tests.harness.disks import ext4_disk, fill, find_free, memory_disk
from volfs.buckets.cache.cache_layout import BLOCK, SEGMENT, Content, make_content
from volfs.buckets.cache.cache_place import choose_cache_directory, choose_cache_size
from volfs.buckets.cache.disk_cache import DiskCache
from volfs.errors import InvalidError, LocalFileError
from volfs.system.slabs import Slabs

MIB = 1 << 20
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount and chown")


def make_object(size: int, seed: int = 0) -> tuple[Content, bytes]:
    return make_content("s3://b", f"key {seed}", "etag", size), random.Random(seed).randbytes(size)


def put(cache: DiskCache, content: Content, data: bytes, step: int = 4 * MIB) -> bool:
    parts = range(0, len(data), step)
    return all(cache.write(content, at, data[at : at + step]) for at in parts)


def put_past_the_page_cache(cache: DiskCache, content: Content, data: bytes) -> None:
    """As a large answer is written, which is in memory that begins where a page does."""
    slabs = Slabs(8 * MIB, kept=1)
    for at in range(0, len(data), 8 * MIB):
        part = data[at : at + 8 * MIB]
        view = slabs.take(len(part))
        view[:] = part
        assert cache.write(content, at, view)


def get(cache: DiskCache, content: Content, data: bytes, start: int, end: int) -> bool:
    """Whether the bytes are there; they are right if they are."""
    found = cache.read(content, start, end)
    assert found is None or bytes(found) == data[start:end]
    for at, piece in cache.read_present(content, start, end):
        assert bytes(piece) == data[at : at + len(piece)]
    return found is not None


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "cache", 256 * MIB)


# --- what is there ----------------------------------------------------------

SIZES = st.sampled_from([1, 4095, BLOCK, BLOCK + 1, 5 * BLOCK - 7, SEGMENT + 3 * BLOCK + 11])


@settings(max_examples=25, deadline=None)
@given(size=SIZES, seed=st.integers(0, 1 << 30))
def test_reads_what_was_written_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, size: int, seed: int
) -> None:
    chance = random.Random(seed)
    cache = DiskCache(tmp_path_factory.mktemp("cache"), 256 * MIB)
    content, data = make_object(size, seed)
    blocks, there = -(-size // BLOCK), set[int]()
    for _ in range(12):
        first = chance.randrange(blocks)
        last = min(blocks - 1, first + chance.randrange(4))
        start, end = first * BLOCK, min(size, (last + 1) * BLOCK)
        if chance.random() < 0.5:
            assert cache.write(content, start, data[start:end])
            there |= set(range(first, last + 1))
        if chance.random() < 0.3:
            cache = DiskCache(cache.place.path.parent, 256 * MIB)  # another process's view
        a = chance.randrange(start, end)
        b = chance.randrange(a + 1, end + 1)
        wanted = set(range(a // BLOCK, (b - 1) // BLOCK + 1))
        assert get(cache, content, data, a, b) == (wanted <= there)
        listed = cache.list_present(content, 0, size)
        assert {n for low, high in listed for n in range(low // BLOCK, -(-high // BLOCK))} == there
    assert measure_disk(cache.place.path) == cache.measure().size


def test_ready_reads_come_from_the_page_cache(cache: DiskCache) -> None:
    content, data = make_object(3 * MIB)
    put(cache, content, data)
    assert cache.read(content, 0, 1, waits=False) is None, "opening a file may wait"
    assert cache.read(content, 0, 2 * MIB) is not None
    ready = cache.read(content, 5, 2 * MIB - 5, waits=False)
    assert ready is not None
    assert bytes(ready) == data[5 : 2 * MIB - 5]


def test_objects_that_differ_in_anything_share_nothing(cache: DiskCache) -> None:
    said = [("p", "k", "e"), ("pk", "", "e"), ("p", "ke", ""), ("p", "k", "e2"), ("q", "k", "e")]
    contents = [make_content(*words, 100) for words in said] + [make_content("p", "k", "e", 101)]
    assert len({content.digest for content in contents}) == len(contents)
    assert cache.write(contents[0], 0, bytes(100))
    assert all(cache.read(content, 0, 100) is None for content in contents[1:])


# --- bounded ------------------------------------------------------------------


@pytest.mark.parametrize("size", [60_000, 300_000, 12 * MIB])
def test_never_more_than_the_limit(tmp_path: Path, size: int) -> None:
    limit = 4 * MIB
    cache = DiskCache(tmp_path / "cache", limit)
    chance, objects = random.Random(size), [make_object(size, seed) for seed in range(3)]
    for number in range(60 if size > MIB else 150):
        content, data = objects[number % 3] if size > MIB else make_object(size, number)
        start = chance.randrange(-(-size // BLOCK)) * BLOCK
        part = data[start : start + chance.choice([1, 8, 24]) * BLOCK]
        assert cache.write(content, start, part)
        assert get(cache, content, data, start, start + len(part)), "the newest stays"
        assert measure_disk(cache.place.path) <= limit
    assert measure_disk(cache.place.path) > limit // 2, "and it is made use of"


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10 * MIB)
    objects = [make_object(MIB, seed) for seed in range(14)]
    for number, (content, data) in enumerate(objects):
        assert put(cache, content, data)
        names = sorted(tmp_path.glob("buckets/??/*"), key=lambda path: path.stat().st_mtime_ns)
        for place, path in enumerate(names):  # a file's time may have few digits
            os.utime(path, ns=(0, number * 10**9 + place))
        if number == 8:
            get(cache, *objects[0], 0, 100)
            cache.note_uses()
    there = [get(cache, content, data, 0, MIB) for content, data in objects]
    assert there[0], "it was used"
    assert not there[1]
    assert there[-1]


def test_what_is_larger_than_all_room_is_not_kept(tmp_path: Path) -> None:
    cache, none = DiskCache(tmp_path / "a", 100_000), DiskCache(tmp_path / "b", 0)
    content, data = make_object(MIB)
    assert not put(cache, content, data)
    assert not put(none, content, data)
    assert not (tmp_path / "b").exists()
    assert measure_disk(cache.place.path) <= 100_000


# --- damage ------------------------------------------------------------------


def damage(chance: random.Random, root: Path) -> str:
    """Do something to the cache's files that no program of ours would."""
    files = sorted(root.glob("??/*"))
    path = chance.choice([*files, root / "lock"])
    if not path.is_file():
        return "nothing"
    size, how = path.stat().st_size, chance.randrange(9)
    if how == 0:  # flip
        with path.open("r+b") as file:
            for _ in range(chance.randrange(1, 50)):
                at = chance.randrange(max(1, size))
                file.seek(at)
                byte = file.read(1) or b"\0"
                file.seek(at)
                file.write(bytes([byte[0] ^ 1 << chance.randrange(8)]))
    elif how == 1:  # cut
        os.truncate(path, chance.randrange(size + 1))
    elif how == 2:  # cut, and made as long as it was
        os.truncate(path, chance.randrange(size + 1))
        os.truncate(path, size)
    elif how == 3:  # zeros
        with path.open("r+b") as file:
            file.seek(chance.randrange(max(1, size)))
            file.write(bytes(chance.randrange(1, 3 * BLOCK)))
    elif how == 4:  # swapped with another
        other = chance.choice(files)
        path.rename(root / "aside")
        other.rename(path) if other != path else None
        (root / "aside").rename(other)
    elif how == 5:  # blocks of it swapped
        data = bytearray(path.read_bytes())
        data[:BLOCK], data[BLOCK : 2 * BLOCK] = data[BLOCK : 2 * BLOCK], data[:BLOCK]
        path.write_bytes(data)
    elif how == 6:  # gone
        path.unlink()
    elif how == 7:  # a directory, a link, a pipe in its place
        path.unlink()
        [path.mkdir, lambda: path.symlink_to("/etc/passwd"), lambda: os.mkfifo(path)][
            chance.randrange(3)
        ]()
    else:  # a former format
        path.write_bytes(b"volfscf0" + chance.randbytes(size))
    return f"{path.name} {how}"


@pytest.mark.parametrize("seed", range(50))
def test_damage_is_never_read_and_heals(tmp_path: Path, seed: int) -> None:
    chance, cache = random.Random(seed), DiskCache(tmp_path, 64 * MIB)
    objects = [make_object(size, size) for size in (3 * MIB + 5, 500, SEGMENT + MIB, MIB)]
    for content, data in objects:
        assert put(cache, content, data)
        assert get(cache, content, data, 0, len(data))
    done = [damage(chance, cache.place.path) for _ in range(chance.randrange(1, 6))]
    for seen in (cache, DiskCache(tmp_path, 64 * MIB)):
        for content, data in objects:
            for _ in range(10):
                start = chance.randrange(len(data))
                get(seen, content, data, start, chance.randrange(start + 1, len(data) + 1))
    for content, data in objects:
        at = chance.randrange(-(-len(data) // BLOCK)) * BLOCK
        assert cache.write(content, at, data[at : at + 4 * BLOCK]), done
        assert get(cache, content, data, at, min(len(data), at + 4 * BLOCK)), done
    assert measure_disk(cache.place.path) <= 64 * MIB


# --- its directory -----------------------------------------------------------


@pytest.mark.parametrize("how", ["deleted", "moved", "emptied", "cleared"])
def test_may_be_deleted_while_it_is_used(tmp_path: Path, how: str) -> None:
    cache = DiskCache(tmp_path / "cache", 64 * MIB)
    content, data = make_object(2 * MIB)
    assert put(cache, content, data)
    assert get(cache, content, data, 0, 100)
    if how == "deleted":
        shutil.rmtree(tmp_path / "cache")
    elif how == "moved":
        (tmp_path / "cache").rename(tmp_path / "aside")
    elif how == "emptied":
        for path in (tmp_path / "cache" / "buckets").iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    else:
        assert DiskCache(tmp_path / "cache", 64 * MIB).clear().files == 1
    assert not get(cache, content, data, 0, 100) or how == "moved"
    assert put(cache, content, data)
    assert get(cache, content, data, 0, len(data))
    assert cache.measure() == DiskCache(tmp_path / "cache", 64 * MIB).measure()
    assert cache.measure().files == 1


@root_only
@pytest.mark.noisy("is not safe for a cache")
@pytest.mark.parametrize("how", ["another user's", "open to all", "through a link of others"])
def test_a_directory_that_others_can_change_is_not_used(tmp_path: Path, how: str) -> None:
    place = tmp_path / "cache"
    place.mkdir()
    content, data = make_object(1000)
    if how == "another user's":
        (place / "buckets").mkdir()
        os.chown(place / "buckets", 1234, 1234)
    elif how == "open to all":
        place.chmod(0o777)
    else:
        place.chmod(0o1777)
        (tmp_path / "theirs").mkdir()
        (place / "buckets").symlink_to(tmp_path / "theirs")
        os.chown(place / "buckets", 1234, 1234, follow_symlinks=False)
    cache = DiskCache(place, 64 * MIB)
    assert not put(cache, content, data)
    assert not get(cache, content, data, 0, 10)
    assert not list(place.rglob("??/*"))
    with pytest.raises(LocalFileError, match="VOLFS_CACHE_DIR"):
        cache.clear()


def test_files_are_for_their_user_alone(cache: DiskCache) -> None:
    put(cache, *make_object(1000))
    assert cache.place.path.stat().st_mode & 0o777 == 0o700
    files = [path for path in cache.place.path.rglob("??/*") if path.is_file()]
    assert files
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)


@root_only
@pytest.mark.noisy("Read-only file system")
def test_a_read_only_disk_is_read(tmp_path: Path) -> None:
    content, data = make_object(MIB)
    with memory_disk(tmp_path, 64 * MIB) as disk:
        assert put(DiskCache(disk, 32 * MIB), content, data)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        cache = DiskCache(disk, 32 * MIB)
        assert get(cache, content, data, 0, MIB)
        assert not cache.write(*make_object(1000, 1)[:1], 0, bytes(1000))
        assert not cache.is_usable
        cache.note_uses()
        empty = DiskCache(disk / "other", 32 * MIB)
        assert not empty.write(content, 0, data)
        assert not get(empty, content, data, 0, 10)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with ext4_disk(tmp_path, 96 * MIB) as disk:
        yield disk


@root_only
@pytest.mark.noisy("No space left on device")
def test_a_full_disk_costs_only_time(small_disk: Path) -> None:
    cache = DiskCache(small_disk / "cache", 80 * MIB)
    for seed in range(40):
        content, data = make_object(3 * MIB, seed)
        put(cache, content, data)
        assert get(cache, content, data, 0, len(data))
    assert find_free(small_disk) > MIB, "others have some room left"
    filler = fill(small_disk)
    kept = DiskCache(small_disk / "cache", 80 * MIB)
    content, data = make_object(3 * MIB, 77)
    assert isinstance(put(kept, content, data), bool)
    get(kept, content, data, 0, len(data))
    filler.unlink()
    again = DiskCache(small_disk / "cache", 80 * MIB)
    assert put(again, content, data)
    assert get(again, content, data, 0, len(data))


# --- what it is told -----------------------------------------------------------


def test_where_it_lies_and_how_large_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOLFS_CACHE_SIZE", raising=False)
    monkeypatch.setenv("VOLFS_CACHE_DIR", str(tmp_path / "x"))
    assert choose_cache_directory() == tmp_path / "x"
    disk = shutil.disk_usage(tmp_path).total
    assert choose_cache_size(tmp_path / "x" / "y") == min(disk // 10, 50 << 30)
    sizes = {"20G": 20 << 30, "1.5 MiB": 3 << 19, "7": 7, "0": 0, "5%": disk // 20, "2tb": 2 << 40}
    for said, size in sizes.items():
        monkeypatch.setenv("VOLFS_CACHE_SIZE", said)
        assert abs(choose_cache_size(tmp_path) - size) <= 1
    for said in ("much", "-1", "10 apples", "1e9", "%"):
        monkeypatch.setenv("VOLFS_CACHE_SIZE", said)
        with pytest.raises(InvalidError, match=r"VOLFS_CACHE_SIZE: .*no size"):
            DiskCache(tmp_path)
    monkeypatch.delenv("VOLFS_CACHE_DIR")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert choose_cache_directory() == Path("/home/somebody/.cache/volfs")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert choose_cache_directory() == Path("/caches/volfs")


@pytest.mark.parametrize("size", [16 * MIB, 9 * MIB + 5, 40 * MIB + 4097])
def test_large_parts_are_written_past_the_page_cache(cache: DiskCache, size: int) -> None:
    content, data = make_object(size)
    assert put(cache, content, data[: 3 * BLOCK])
    assert get(cache, content, data, 0, 3 * BLOCK), "a reader has the file open"
    put_past_the_page_cache(cache, content, data)
    assert get(cache, content, data, 0, size)
    other = DiskCache(cache.place.path.parent, 256 * MIB)
    assert get(other, content, data, 0, size)
    assert not other.damaged
    assert abs(cache.measure().size - measure_disk(cache.place.path)) <= 8192


@root_only
def test_a_disk_without_direct_writes_is_written_through_the_page_cache(tmp_path: Path) -> None:
    with memory_disk(tmp_path, 64 * MIB) as disk:
        cache = DiskCache(disk, 48 * MIB)
        content, data = make_object(9 * MIB + 5)
        put_past_the_page_cache(cache, content, data)
        assert get(cache, content, data, 0, len(data))


@root_only
def test_a_disk_that_fills_up_during_large_writes_loses_no_bytes(tmp_path: Path) -> None:
    with ext4_disk(tmp_path, 48 * MIB) as disk:
        cache = DiskCache(disk, 1024 * MIB)
        content, data = make_object(64 * MIB)
        slabs = Slabs(8 * MIB, kept=1)
        for at in range(0, len(data), 8 * MIB):
            view = slabs.take(8 * MIB)
            view[:] = data[at : at + 8 * MIB]
            cache.write(content, at, view)
        for at in range(0, len(data), MIB):
            get(cache, content, data, at, at + MIB)
        assert get(cache, content, data, 56 * MIB, 64 * MIB), "what was written last is there"


def test_threads_of_one_process_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only for other processes a writer waits a short time; what its own threads write is kept."""
    monkeypatch.setattr("volfs.buckets.cache.cache_place.LOCK_WAIT", 0.0)
    cache, data = DiskCache(tmp_path, 1 << 30), bytes(8 << 20)
    contents = [make_content("b", f"pack-{number}", "e", len(data)) for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda content: cache.write(content, 0, data), contents))
    assert all(kept)
