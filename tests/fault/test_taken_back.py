"""A change that failed leaves the disk as it was: what it wrote and did not publish is cut off."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.disks import MIB, ext4_disk, fill, find_free, memory_disk
from tests.harness.fixtures import mounts
from tests.harness.mounted import Mounts
from tests.harness.uploads import die_with
from tests.volume.shortcuts import noise, publish_files, read_file
from volfs.errors import OutOfSpaceError
from volfs.model.objects import Kind, Oid
from volfs.store.contract.objects import Upload
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.embedded.engine import EmbeddedStore
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.gc import collect_garbage
from volfs.volume.put import put_local
from volfs.volume.volumes import create_volume, fork_volume

__all__ = ["mounts"]

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk"),
]
SMALL = 128 * MIB
BOUND = 256 << 10
"""What LMDB's file and a directory may have grown by."""
DISKS: dict[str, Callable[[Path, int], AbstractContextManager[Path]]] = {
    "ext4": ext4_disk,
    "memory": memory_disk,
}


@pytest.fixture(params=DISKS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with DISKS[request.param](tmp_path, SMALL) as path:
        yield path


@pytest.fixture
def store(disk: Path) -> Iterator[Store]:
    store = open_store(str(disk / "store"), create=True)
    yield store
    assert check_store(store).is_clean
    store.close()


@pytest.fixture
def volume(store: Store) -> VolumeRecord:
    volume = create_volume(store, "data", chunk_bits=16)
    publish_files(store, volume, {"first": noise(MIB)})
    return volume


def write_tree(path: Path, size: int) -> Path:
    """A directory of files that do not compress."""
    path.mkdir()
    for number in range(size // MIB):
        (path / f"f{number}").write_bytes(noise(MIB, number + 100))
    return path


# --- each way to fail ------------------------------------------------------


def test_a_failed_put_leaves_the_disk_as_it_was(
    disk: Path, store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    tree = write_tree(tmp_path / "tree", 70 * MIB)
    ballast = fill(disk, 40 * MIB)
    free = find_free(disk)
    for _ in range(3):
        with pytest.raises(OutOfSpaceError):
            put_local(store, volume, tree, (b"tree",))
        assert find_free(disk) > free - BOUND
    publish_files(store, volume, {"small": noise(MIB, 7)})
    ballast.unlink()
    put_local(store, volume, tree, (b"tree",))
    assert read_file(store, volume, "tree/f3") == noise(MIB, 103)
    assert read_file(store, volume, "first") == noise(MIB)


def test_a_failed_commit_of_a_mount_leaves_the_disk_as_it_was(
    disk: Path, mounts: Mounts, tmp_path: Path
) -> None:
    mounts.store_path = disk / "store"
    mounts.close_store()
    create_volume(mounts.store, "data", chunk_bits=16)
    mounts.put_sessions_in(tmp_path / "sessions")
    mounted = mounts.mount()
    for number in range(40):
        (mounted.path / f"f{number}").write_bytes(noise(MIB, number))
    ballast = fill(disk, 30 * MIB)
    free = find_free(disk)
    for _ in range(3):
        with pytest.raises(OutOfSpaceError):
            mounted.commit()
        assert find_free(disk) > free - BOUND
    ballast.unlink()
    assert mounted.commit().version == 1
    assert (mounted.path / "f39").read_bytes() == noise(MIB, 39)
    mounted.unmount()
    mounts.close()


def test_a_change_that_is_given_up_leaves_the_disk_as_it_was(
    disk: Path, store: Store, volume: VolumeRecord
) -> None:
    free = find_free(disk)
    with suppress(ZeroDivisionError), Edit(store, volume) as edit:
        edit.writer.put_chunk(noise(8 * MIB, 3))
        raise ZeroDivisionError
    assert find_free(disk) > free - BOUND
    with pytest.raises(Exception, match="already exists"):
        fork_volume(store, volume, "data", store.refs.get_head(volume.id))
    assert find_free(disk) > free - BOUND


def test_an_upload_that_is_dropped_leaves_the_disk_as_it_was(
    disk: Path, store: Store, volume: VolumeRecord
) -> None:
    free = find_free(disk)
    upload = store.open_upload(volume.id)
    upload.put_object(Kind.CHUNK, noise(8 * MIB, 3))
    assert find_free(disk) < free - 7 * MIB
    del upload
    assert find_free(disk) > free - BOUND


def test_a_gc_that_has_no_room_to_copy_leaves_the_disk_as_it_was(
    disk: Path, store: Store, volume: VolumeRecord
) -> None:
    empty = find_free(disk)
    publish_files(store, volume, {"kept": noise(6 * MIB, 1), "gone": noise(12 * MIB, 2)})
    with Edit(store, volume) as edit:
        edit.remove((b"gone",))
        edit.commit(CommitNote())
    store.refs.remove_versions(volume.id, [1, 2])
    ballast = fill(disk, 4 * MIB)
    free = find_free(disk)
    with suppress(OutOfSpaceError):
        collect_garbage(store, grace=3600)
    assert find_free(disk) > free - BOUND
    ballast.unlink()
    collect_garbage(store, grace=0)
    assert read_file(store, volume, "kept") == noise(6 * MIB, 1)
    assert find_free(disk) > empty - 9 * MIB


# --- what else may happen --------------------------------------------------

KILLED = """
import os, signal, sys
from volfs.model.objects import Kind
from volfs.store.registry import open_store
store = open_store(sys.argv[1])
upload = store.open_upload(store.refs.get_volume("data").id)
for number in range(40):
    upload.put_object(Kind.CHUNK, os.urandom(1 << 20))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_makes_room_for_the_next_change(
    disk: Path, store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    with store.open_upload(
        volume.id
    ) as mine:  # so that the killed one's packs are others than the next's
        mine.put_object(Kind.CHUNK, noise(MIB, 50))
        done = subprocess.run([sys.executable, "-c", KILLED, store.url], check=False)
        assert done.returncode == -signal.SIGKILL
        ballast = fill(disk, 10 * MIB)
        publish_files(store, volume, {"big": noise(30 * MIB, 9)})
        assert bytes(mine.load_object(mine.put_object(Kind.CHUNK, noise(MIB, 50)))) == noise(
            MIB, 50
        )
    ballast.unlink()
    assert read_file(store, volume, "big") == noise(30 * MIB, 9)


def test_a_cut_that_fails_harms_nothing(tmp_path: Path) -> None:
    """The kernel refuses to cut a file that may only grow."""
    with ext4_disk(tmp_path, SMALL) as disk:
        store = open_store(str(disk / "store"), create=True)
        volume = create_volume(store, "data", chunk_bits=16)
        with store.open_upload(volume.id) as upload:
            upload.put_object(Kind.CHUNK, noise(8 * MIB, 3))
            packs = list((disk / "store/packs").iterdir())
            subprocess.run(["chattr", "+a", *packs], check=True)
        assert sum(pack.stat().st_size for pack in packs) > 8 * MIB
        subprocess.run(["chattr", "-a", *packs], check=True)
        publish_files(store, volume, {"f": noise(MIB, 4)})
        assert sum(pack.stat().st_size for pack in packs) < 2 * MIB
        assert check_store(store).is_clean
        store.close()


def test_a_fork_that_drops_what_it_inherited_cuts_nothing(
    store: Store, volume: VolumeRecord
) -> None:
    with store.open_upload(volume.id) as upload:
        oid = upload.put_object(Kind.CHUNK, noise(MIB, 5))
        child = os.fork()
        if child == 0:
            try:
                del upload
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert upload.load_object(oid) == noise(MIB, 5)


# --- any series of uploads -------------------------------------------------

Ends = st.sampled_from(["publish", "leave", "drop", "die", "lose", "fail"])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    series=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5), Ends), min_size=1, max_size=12)
)
def test_any_series_of_uploads(
    tmp_path_factory: pytest.TempPathFactory, series: list[tuple[int, int, str]]
) -> None:
    """Up to three at a time; whatever becomes of each, what was published is there, and what
    lies behind it is of living or dead uploads alone."""
    store = open_store(str(tmp_path_factory.mktemp("series") / "store"), create=True)
    assert isinstance(store, EmbeddedStore)
    series_of = _Series(store)
    for slot, size, end in series:
        series_of.step(slot, size, end)
    series_of.check()
    store.close()


class _Series:
    def __init__(self, store: EmbeddedStore) -> None:
        self.store = store
        self.volume = create_volume(store, "data")
        self.random = random.Random(1)
        self.open: dict[int, tuple[Upload, dict[Oid, bytes]]] = {}
        self.published: dict[Oid, bytes] = {}
        self.offered: set[int] = set()
        self.dead = 0
        """Uploads whose bytes stay where they are."""

    def step(self, slot: int, size: int, end: str) -> None:
        upload, put = self.open.setdefault(slot, (self.store.open_upload(self.volume.id), {}))
        data = self.random.randbytes(size * 1000)
        put[upload.put_object(Kind.CHUNK, data)] = data
        getattr(self, f"do_{end}")(slot)

    def do_publish(self, slot: int) -> None:
        upload, put = self.open.pop(slot)
        head = self.store.refs.get_head(self.volume.id)
        manifest = upload.put_object(Kind.MANIFEST, b"%d" % self.random.randrange(1 << 60))
        self.store.refs.publish(upload, self.volume.id, head, Head(head.version + 1, manifest))
        upload.__exit__(None, None, None)
        self.published |= put

    def do_lose(self, slot: int) -> None:
        """A lost race: the upload stays usable."""
        upload, _ = self.open[slot]
        self.offered.add(slot)
        manifest = upload.put_object(Kind.MANIFEST, b"%d" % self.random.randrange(1 << 60))
        stale = Head(7, manifest)
        with pytest.raises(Exception, match="is at version"):
            self.store.refs.publish(upload, self.volume.id, stale, Head(8, manifest))

    def do_fail(self, slot: int) -> None:
        self.do_lose(slot)
        self.do_leave(slot)

    def do_leave(self, slot: int) -> None:
        self.open.pop(slot)[0].__exit__(None, None, None)

    def do_drop(self, slot: int) -> None:
        """What was offered to a transaction is left alone: only the index knows what came of it."""
        self.dead += slot in self.offered
        del self.open[slot]

    def do_die(self, slot: int) -> None:
        upload, _ = self.open.pop(slot)
        die_with(upload)
        self.dead += 1

    def check(self) -> None:
        for oid, data in self.published.items():
            assert self.store.objects_of(self.volume.id).load_object(oid) == data
        for upload, put in self.open.values():
            for oid, data in put.items():
                assert upload.load_object(oid) == data
            upload.__exit__(None, None, None)
        tails = self.count_tails()
        assert tails == 0 or self.dead
        assert self.store._engine.packs.pool.reclaim() == tails
        assert self.count_tails() == 0
        assert list(self.store.care.iter_damage()) == []

    def count_tails(self) -> int:
        engine = self.store._engine
        sizes = {int(p.stem): p.stat().st_size for p in (engine.path / "packs").iterdir()}
        return sum(sizes[row.pack] - row.durable for row in engine.index.list_packs())
