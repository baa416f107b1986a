"""The contract, sentence by sentence: the docstring is the sentence, the test a short look.

What the machine does to a store: full disks, clocks, file systems that cannot be written.
Every corner of these is in ``tests/fault``.
"""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.disks import MIB, fill, find_free, memory_disk
from tests.harness.mounted import Mounts
from tests.services.conftest import Clock
from tests.volume.shortcuts import noise, publish_files, read_file
from volfs.errors import OutOfSpaceError, StoreDeniedError
from volfs.model.objects import Kind
from volfs.model.retention import KeepRules
from volfs.services.opening import open_services
from volfs.services.resources import DICT, Resources
from volfs.services.table_dicts import TableDicts
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.expire import expire_versions
from volfs.volume.gc import collect_garbage
from volfs.volume.volumes import create_volume, delete_volume

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk"),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with memory_disk(tmp_path, 64 * MIB) as path:
        yield path


@pytest.fixture
def store(disk: Path) -> Iterator[Store]:
    store = open_store(str(disk / "store"), create=True)
    yield store
    store.close()


@pytest.fixture
def volume(store: Store) -> VolumeRecord:
    return create_volume(store, "data", chunk_bits=16)


@pytest.fixture
def mounts(disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mounts]:
    """Mounts whose store and overlays are on the disk."""
    mounts = Mounts(tmp_path)
    mounts.store_path = disk / "store"
    mounts.create()
    mounts.expect("No space left")
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(mounts.runtime))
    yield mounts
    mounts.close()


def remove(store: Store, volume: VolumeRecord, name: bytes) -> None:
    """As ``volfs rm`` does."""
    with Edit(store, volume) as edit:
        edit.remove((name,))
        edit.commit(CommitNote())


# --- Commits -------------------------------------------------------------------


def test_a_failed_change_is_given_back(disk: Path, store: Store, volume: VolumeRecord) -> None:
    """What a commit or any other change wrote into the store and could not publish is given
    back to the disk before the error is told."""
    fill(disk, 20 * MIB)
    free = find_free(disk)
    with pytest.raises(OutOfSpaceError):
        publish_files(store, volume, {"big": noise(30 * MIB)})
    assert find_free(disk) > free - MIB // 4


def test_lost_pages_of_a_mapping_fail_the_next_commit(disk: Path, mounts: Mounts) -> None:
    """Pages of a mapping that could not be kept, on a full disk for example, fail the next
    commit, which names the file, also where `msync` or `fsync` has told them before."""
    mounted = mounts.mount()
    with (mounted.path / "f").open("wb+") as file:
        file.truncate(MIB)
        ballast = fill(disk)
        with mmap.mmap(file.fileno(), MIB) as shown:
            shown[:] = b"x" * MIB
            with pytest.raises(OSError, match="No space"):
                shown.flush()
        ballast.unlink()
        with pytest.raises(OutOfSpaceError, match=r"^f: "):
            mounted.commit()


def test_a_write_on_a_full_disk(disk: Path, mounts: Mounts) -> None:
    """It fails with `ENOSPC` and changes nothing. Deleted content leaves its room at once."""
    mounted = mounts.mount()
    big, new = mounted.path / "big", mounted.path / "new"
    big.write_bytes(noise(4 * MIB))
    ballast = fill(disk)
    with big.open("ab", buffering=0) as file, pytest.raises(OSError, match="No space"):
        file.write(noise(MIB, 2))
    assert big.read_bytes() == noise(4 * MIB)
    big.unlink()
    new.write_bytes(noise(3 * MIB, 3))
    assert new.read_bytes() == noise(3 * MIB, 3)
    ballast.unlink()


KILLED = """
import os, signal, sys
from volfs.model.objects import Kind
from volfs.store.registry import open_store
store = open_store(sys.argv[1])
upload = store.open_upload(store.refs.get_volume("data").id)
upload.put_object(Kind.CHUNK, os.urandom(30 << 20))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left(disk: Path, store: Store, volume: VolumeRecord) -> None:
    """What a process that was killed left there is given back when the next change finds the
    disk full, or by gc."""
    done = subprocess.run([sys.executable, "-c", KILLED, store.url], check=False)
    assert done.returncode == -signal.SIGKILL
    fill(disk, 4 * MIB)
    publish_files(store, volume, {"f": noise(15 * MIB)})


# --- Clocks --------------------------------------------------------------------

YEAR = 365 * 24 * 3600 * 10**9


def publish_at(patch: pytest.MonkeyPatch, store: Store, volume: VolumeRecord, *dates: int) -> None:
    """A version of each date, by clocks that were set so."""
    for number, date in enumerate(dates):
        with patch.context() as clock:
            clock.setattr("time.time_ns", lambda date=date: date)
            publish_files(store, volume, {f"f{number}": b"%d" % number})


@pytest.mark.parametrize("wrong", [10 * YEAR, -60 * YEAR, -YEAR])
def test_one_wrong_date_expires_nothing(
    store: Store, volume: VolumeRecord, monkeypatch: pytest.MonkeyPatch, wrong: int
) -> None:
    """So no date that others contradict removes anything, be it ahead, at 1970 or jumping."""
    now, hour = time.time_ns(), 3600 * 10**9
    dates = [now - 5 * hour, now - 4 * hour, max(0, now + wrong), now - 2 * hour, now - hour]
    publish_at(monkeypatch, store, volume, *dates)
    for rules in (KeepRules(within_ns=24 * hour), KeepRules(hourly=5)):
        assert expire_versions(store, volume, rules)[1] == []
    assert expire_versions(store, volume, KeepRules(last=2))[1] == [1, 2, 3]


def test_a_grace_is_told_by_a_clock_that_nobody_sets(
    store: Store, volume: VolumeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grace is told by a clock that nobody sets."""
    publish_files(store, volume, {"f": noise(MIB)})
    remove(store, volume, b"f")
    store.refs.remove_versions(volume.id, [1])
    now = time.time_ns()
    for wrong in (0, 10 * YEAR, -10 * YEAR):
        monkeypatch.setattr("time.time_ns", lambda: now + wrong)  # noqa: B023
        report = collect_garbage(store)
        assert (report.deleted_packs, report.waiting_packs) == (0, 2)
    assert collect_garbage(store, grace=0).deleted_packs == 2


def test_entries_of_dicts_expire_by_a_clock_that_nobody_sets(tmp_path: Path) -> None:
    """An entry of a Dict expires by a clock that nobody sets. The time between two runs of the
    machine, or two machines, counts by its date, for half of the entry's term at most. What
    was seen to have expired does not come back."""
    clock = Clock()
    tables = open_services(str(tmp_path / "services"), create=True)
    dicts, of = TableDicts(tables, clock.moment), Resources(tables, DICT).create("d", "main").id
    dicts.put(of, b"k", b"v", ttl=60, only_new=False)
    clock.error = 10**9
    assert dicts.find(of, b"k") == b"v"
    clock.restart(10**9, up=10**9)
    assert dicts.find(of, b"k") == b"v"
    clock.pass_(30)
    assert dicts.find(of, b"k") is None
    clock.restart()
    clock.error = 0
    assert dicts.find(of, b"k") is None
    tables.close()


def test_check_names_versions_of_the_future(
    store: Store, volume: VolumeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names versions with a date in the future, which are no damage."""
    now = time.time_ns()
    publish_at(monkeypatch, store, volume, now, now + 10 * YEAR, now)
    report = check_store(store)
    assert report.is_clean
    assert [(item.volume, item.version) for item in report.notices] == [("data", 2)]


# --- Care of the store: full disks -----------------------------------------------


def test_what_frees_room_works_without_any(disk: Path, store: Store, volume: VolumeRecord) -> None:
    """What frees room works on a disk that has none. What takes room, ``rm`` among it, says so
    and changes nothing."""
    publish_files(store, volume, {"f": noise(8 * MIB)})
    fill(disk)
    with pytest.raises(OutOfSpaceError, match="volfs gc --grace 0"):
        remove(store, volume, b"f")
    assert store.refs.get_head(volume.id).version == 1
    delete_volume(store, "data")
    assert collect_garbage(store, grace=0).deleted_bytes > 8 * MIB
    assert find_free(disk) > 8 * MIB


def test_what_is_dead_whole_goes_first(disk: Path, store: Store, volume: VolumeRecord) -> None:
    """Where there is no room to copy what is in use, gc deletes what is dead whole first, and
    then goes on with what fits."""
    doomed = create_volume(store, "doomed", chunk_bits=16)
    publish_files(store, doomed, {"dead": noise(9 * MIB, 2)})
    with store.open_upload(
        volume.id
    ) as other:  # has that pack, so that the next file is in another
        other.put_object(Kind.CHUNK, noise(9))
        publish_files(store, volume, {"mixed": noise(6 * MIB), "dead": noise(8 * MIB, 1)})
    remove(store, volume, b"dead")
    store.refs.remove_versions(volume.id, [1])
    delete_volume(store, "doomed")
    fill(disk)
    report = collect_garbage(store, grace=0)
    assert report.starved_packs == 0
    assert report.deleted_bytes > 20 * MIB


# --- Care of the store: file systems that cannot be written ------------------------


def test_what_reads_works_where_nothing_can_be_written(
    disk: Path, store: Store, volume: VolumeRecord
) -> None:
    """It shows the store as it was when it was opened. What changes it says so in one line."""
    publish_files(store, volume, {"f": b"1"})
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    frozen = open_store(store.url)
    assert read_file(frozen, volume, "f") == b"1"
    assert check_store(frozen).is_clean
    with pytest.raises(StoreDeniedError, match="cannot be changed: it is on a read-only"):
        publish_files(frozen, volume, {"f": b"2"})
    frozen.close()
