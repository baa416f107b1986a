"""Disks without any room: what frees room works, what only reads works, the rest says why."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Command, volfs
from tests.harness.disks import MIB, ext4_disk, fill, find_free, memory_disk, take_inodes
from tests.volume.shortcuts import noise, put_bytes
from volfs.model.entry import Entry, FileKind
from volfs.model.objects import Kind
from volfs.model.retention import KeepRules
from volfs.store.checked_lmdb.ballast import SIZE, Ballast
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.expire import expire_versions
from volfs.volume.gc import collect_garbage
from volfs.volume.volumes import create_volume, delete_volume

__all__ = ["volfs"]

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk"),
]
ROOMY = 128 * MIB
DISKS: dict[str, Callable[[Path, int], AbstractContextManager[Path]]] = {
    "ext4": ext4_disk,
    "memory": memory_disk,
}


@contextmanager
def few_inodes(directory: Path, size: int) -> Iterator[Path]:
    with ext4_disk(directory, size, inodes=256) as path:
        yield path


KINDS: dict[
    str, tuple[Callable[[Path, int], AbstractContextManager[Path]], Callable[[Path], object]]
] = {
    "ext4": (ext4_disk, fill),
    "memory": (memory_disk, fill),
    "inodes": (few_inodes, take_inodes),
}


@pytest.fixture(params=KINDS)
def full(request: pytest.FixtureRequest, tmp_path: Path, volfs: Command) -> Iterator[Command]:
    """The command on a store with one of everything, on a disk that has no room left."""
    make, exhaust = KINDS[request.param]
    with make(tmp_path, ROOMY) as disk:
        volfs.environment["VOLFS_STORE"] = str(disk / "store")
        _furnish(volfs, tmp_path)
        exhaust(disk)
        yield volfs


def _furnish(volfs: Command, directory: Path) -> None:
    (directory / "big").write_bytes(noise(8 * MIB))
    (directory / "small").write_bytes(noise(MIB, 1))
    for name in ("a", "b"):
        volfs("create", name)
    volfs("put", "a", "big", "/big")
    volfs("put", "a", "small", "/small")
    volfs("tag", "a", "old", "1")
    volfs("rm", "a", "/big")
    volfs("put", "b", "small", "/small")
    volfs("nfs", "create", "n")
    volfs("dict", "create", "d")
    volfs("queue", "create", "q")
    volfs("secret", "create", "s", "K=V")
    (directory / "m").mkdir()
    volfs("mount", "b", "m")
    (directory / "m/new").write_bytes(noise(MIB, 2))


READS = [
    ("list",),
    ("info", "a"),
    ("ls", "a"),
    ("log", "a"),
    ("diff", "a", "1", "2"),
    ("tag", "a"),
    ("status",),
    ("overlays",),
    ("check",),
    ("gc", "--dry-run"),
    ("expire", "a", "--keep-last", "1", "--dry-run"),
    ("dict", "list"),
    ("queue", "list"),
    ("secret", "list"),
    ("nfs", "list"),
]
FREES = [
    ("dict", "clear", "-y", "d"),
    ("dict", "delete", "-y", "d"),
    ("queue", "clear", "-y", "--all", "q"),
    ("queue", "delete", "-y", "q"),
    ("secret", "delete", "-y", "s"),
    ("nfs", "delete", "-y", "n"),
    ("umount", "--discard", "m"),
    ("tag", "-d", "old", "a"),
    ("expire", "a", "--keep-last", "1"),
    ("delete", "-y", "b"),
]


def test_a_disk_without_any_room(full: Command, tmp_path: Path) -> None:
    """One after the other, with no room all the while; at the end the room is there."""
    is_memory = not (full.store.parent / "lost+found").exists()
    for command in READS if is_memory else READS[-1:]:  # what reads needs no disk of each sort
        full(*command)
    full("get", "a", "/small", str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == noise(MIB, 1)
    for command in FREES:
        full(*command)
    before = find_free(full.store)
    result = full("gc", "--grace", "0", "--json").json
    assert result["deleted_bytes"] > 8 * MIB
    assert find_free(full.store) > before + 7 * MIB
    full("check")
    assert full("ls", "a").out == b"small\n"


TAKES = [
    ("rm", "a", "/small"),
    ("commit", "m"),
    ("tag", "a", "new", "1"),
    ("create", "c"),
    ("dict", "create", "e"),
]


@pytest.mark.parametrize("full", ["ext4"], indirect=True)
def test_what_takes_room_says_so(full: Command, tmp_path: Path) -> None:
    for command in TAKES:
        result = full(*command, status=1)
        assert result.err.splitlines()[-1].startswith(f"volfs: {command[0]}"), result
        assert "volfs gc --grace 0" in result.err or "No space left" in result.err, result
        assert "Traceback" not in result.err
    assert (tmp_path / "m/new").read_bytes() == noise(MIB, 2)
    full("umount", "--discard", "m")
    full("check")


# --- an index with many rows -------------------------------------------------


def publish_many(store: Store, volume: VolumeRecord, count: int, seed: int) -> None:
    """So many files, each with a chunk of its own, in the same directories each time."""
    rng = random.Random(seed)
    with Edit(store, volume) as edit:
        for number in range(count):
            chunk = edit.writer.put_chunk(rng.randbytes(1100))
            file = Entry(b"x", FileKind.FILE, 0o644, size=1100, extents=(chunk,))
            edit.put((b"d%d" % (number // 1000), b"f%d" % number), file)
        edit.commit(CommitNote())


@pytest.fixture(params=DISKS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with DISKS[request.param](tmp_path, ROOMY) as path:
        yield path


@pytest.mark.parametrize("ballast", [True, False], ids=["ballast", "no ballast"])
@pytest.mark.parametrize("way", ["expire", "delete"])
def test_thousands_of_rows_are_collected_without_room(disk: Path, way: str, ballast: bool) -> None:
    """In small parts, for LMDB writes each page anew before it lets go of the old one."""
    store = open_store(str(disk / "store"), create=True)
    volume = create_volume(store, "data")
    for seed in range(3):
        publish_many(store, volume, 2500, seed)
    with Edit(store, volume) as edit:
        for number in range(3):
            edit.remove((b"d%d" % number,), recursive=True)
        edit.commit(CommitNote())
    if not ballast:
        Ballast(disk / "store/index").spend()
    fill(disk)
    if way == "expire":
        assert expire_versions(store, volume, KeepRules(last=1))[1] == [1, 2, 3]
    else:
        delete_volume(store, "data")
    before = find_free(disk)
    report = collect_garbage(store, grace=0)
    assert report.deleted_packs > 0
    assert find_free(disk) > before + 4 * MIB
    assert check_store(store).is_clean
    store.close()


def test_what_is_dead_whole_goes_before_anything_is_copied(disk: Path) -> None:
    """There is room for a copy of the small pack's living, not yet for that of the large."""
    store = open_store(str(disk / "store"), create=True)
    volume = create_volume(store, "data", chunk_bits=16)
    for number, (kept, gone) in enumerate([(0, 3), (6, 20), (1, 3)]):
        _publish_apart(store, volume, number, kept * MIB, gone * MIB)
    with Edit(store, volume) as edit:
        for number in range(3):
            edit.remove((b"gone%d" % number,))
        edit.commit(CommitNote())
    fill(disk, 2 * MIB)
    expire_versions(store, volume, KeepRules(last=1))
    report = collect_garbage(store, grace=0)
    assert report.starved_packs == 0
    assert report.deleted_bytes > 25 * MIB
    assert check_store(store, read_data=True).is_clean
    store.close()


def _publish_apart(store: Store, volume: VolumeRecord, number: int, kept: int, gone: int) -> None:
    """A version in packs of its own: those that are there are in somebody's hands."""
    with store.open_upload(volume.id) as other, Edit(store, volume) as edit:
        other.put_object(Kind.CHUNK, noise(1000, number + 50))
        for name, size in (("kept", kept), ("gone", gone)):
            put_bytes(edit, f"{name}{number}", noise(size, number))
        edit.commit(CommitNote())


# --- the ballast ---------------------------------------------------------------


def test_the_ballast_comes_back_with_the_room(disk: Path) -> None:
    store = open_store(str(disk / "store"), create=True)
    ballast = disk / "store/index/ballast"
    assert ballast.stat().st_blocks * 512 >= SIZE
    create_volume(store, "data")
    store.close()
    assert Ballast(ballast.parent).spend()
    assert not Ballast(ballast.parent).spend()
    room = fill(disk, 16 * MIB)
    open_store(str(disk / "store")).close()
    assert not ballast.exists()
    room.unlink()
    open_store(str(disk / "store")).close()
    assert ballast.stat().st_size == SIZE
