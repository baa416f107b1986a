"""Damage of every kind: never wrong bytes, an error that is named, and a mount that lives on."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.harness.calls import fails
from tests.harness.damage import (
    damage_object,
    find_chunk,
    find_record,
    find_tree,
    replace_index_row,
)
from tests.harness.mounted import Mounts
from tests.volume.shortcuts import publish_files
from volfs.errors import DamagedObjectError, DataError, MissingObjectError, VolfsError

pytestmark = pytest.mark.fuse


def noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(100_000)


FILES = {"bad": 1, "good": 2, "d/good": 3, "d/e/deep": 4}


@pytest.fixture
def damaged(mounts: Mounts) -> Mounts:
    """A store with version 1 of ``FILES``, that the test is to damage."""
    publish_files(mounts.store, mounts.volume, {name: noise(seed) for name, seed in FILES.items()})
    mounts.is_damaged = True
    return mounts


def check_readable(here: Path, *names: str) -> None:
    for name in names:
        assert (here / name).read_bytes() == noise(FILES[name])


# --- content ------------------------------------------------------------------


def test_a_flipped_byte_is_eio_for_that_file_and_named_in_the_log(damaged: Mounts) -> None:
    damage_object(damaged.store_path, find_chunk(damaged.store, damaged.volume, b"d", b"good"))
    mounted = damaged.mount()
    damaged.expect("read d/good: object ")
    for _ in range(2):
        with fails(errno.EIO):
            (mounted.path / "d" / "good").read_bytes()
    check_readable(mounted.path, "bad", "good", "d/e/deep")
    mounted.wait_for_log(" ERROR volfs.fuse.request_guard: read d/good: object ")
    # Chunks that are whole are read, also those after the damage.
    with (mounted.path / "d" / "good").open("rb", buffering=0) as file:
        assert os.pread(file.fileno(), 20_000, 80_000) == noise(3)[80_000:]


def test_a_damaged_file_can_be_replaced_and_committed(damaged: Mounts) -> None:
    damage_object(damaged.store_path, find_chunk(damaged.store, damaged.volume, b"bad"))
    mounted = damaged.mount()
    (mounted.path / "bad").write_bytes(noise(9))
    (mounted.path / "good").rename(mounted.path / "moved")
    assert mounted.commit().version == 2
    again = damaged.mount(read_only=True).path
    assert (again / "bad").read_bytes() == noise(9)
    assert (again / "moved").read_bytes() == noise(2)


def test_the_same_bytes_written_again_mend_the_file(damaged: Mounts) -> None:
    """A copy of a file with a damaged chunk must not lean on what cannot be read."""
    damage_object(damaged.store_path, find_chunk(damaged.store, damaged.volume, b"bad"))
    mounted = damaged.mount()
    damaged.expect("read bad: object ")
    with fails(errno.EIO):
        (mounted.path / "bad").read_bytes()
    (mounted.path / "copy").write_bytes(noise(1))
    mounted.commit()
    after = damaged.mount(read_only=True).path
    check_readable(after, *FILES)
    assert (after / "copy").read_bytes() == noise(1)


@pytest.mark.parametrize("cut", [0, 60_000])
def test_a_pack_cut_short_is_eio_beyond_its_end(damaged: Mounts, cut: int) -> None:
    pack, start = find_record(damaged.store_path, find_chunk(damaged.store, damaged.volume, b"bad"))
    mounted = damaged.mount()
    os.truncate(pack, cut and start + cut)
    damaged.expect("read ")
    with fails(errno.EIO):
        (mounted.path / "bad").read_bytes()
    assert sorted(os.listdir(mounted.path)) == ["bad", "d", "good"]
    mounted.wait_for_log("read bad: ")
    (mounted.path / "new").write_bytes(noise(5))
    assert mounted.commit().version == 2


def test_a_missing_pack_is_eio_until_it_is_back(damaged: Mounts) -> None:
    pack, _ = find_record(damaged.store_path, find_chunk(damaged.store, damaged.volume, b"bad"))
    pack.rename(damaged.directory / pack.name)
    mounted = damaged.mount()
    damaged.expect("read ")
    for name in FILES:
        with fails(errno.EIO):
            (mounted.path / name).read_bytes()
    text = mounted.wait_for_log("read d/e/deep: object ")
    assert f"{pack} is missing" in text
    (damaged.directory / pack.name).rename(pack)
    check_readable(mounted.path, *FILES)
    damaged.is_damaged = False


# --- trees and manifests --------------------------------------------------------


def test_a_damaged_directory_is_eio_and_its_neighbours_are_not(damaged: Mounts) -> None:
    damage_object(damaged.store_path, find_tree(damaged.store, damaged.volume, b"d"))
    mounted = damaged.mount()
    damaged.expect("d: object ", "rmdir .: object ")
    calls: list[Callable[[], object]] = [
        lambda: os.listdir(mounted.path / "d"),
        lambda: (mounted.path / "d" / "good").stat(),
        lambda: (mounted.path / "d" / "new").touch(),
        lambda: (mounted.path / "d").rmdir(),
    ]
    for call in calls:
        with fails(errno.EIO):
            call()
    check_readable(mounted.path, "good", "bad")
    mounted.wait_for_log("readdir d: object ")
    mounted.wait_for_log("lookup d: object ")
    (mounted.path / "good").write_bytes(b"changed")
    assert mounted.commit().version == 2


def test_a_damaged_root_is_eio_whatever_is_asked(damaged: Mounts) -> None:
    damage_object(damaged.store_path, find_tree(damaged.store, damaged.volume))
    mounted = damaged.mount()
    damaged.expect(" .: object ")
    for call in (os.listdir, lambda path: (path / "good").stat()):
        with fails(errno.EIO):
            call(mounted.path)
    assert mounted.path.stat().st_ino == 1


def test_a_damaged_manifest_cannot_be_mounted_but_versions_before_it_can(damaged: Mounts) -> None:
    first = damaged.mount()
    (first.path / "new").touch()
    first.unmount()
    damage_object(damaged.store_path, damaged.store.refs.get_head(damaged.volume.id).manifest)
    place = damaged.place()
    for options in ({}, {"read_only": True}, {"at": "2"}):
        with pytest.raises(DamagedObjectError, match=r"object [0-9a-f]{64} in pack \d+ at \d+: "):
            damaged.mount(place, **options)
        assert not os.path.ismount(place)
    assert damaged.sessions == []
    check_readable(damaged.mount(at="1").path, *FILES)


def test_a_damaged_manifest_at_a_reload_leaves_the_old_view(damaged: Mounts) -> None:
    writer, reader = damaged.mount(), damaged.mount()
    (reader.path / "ours").write_text("ours")
    (writer.path / "new").touch()
    writer.unmount()
    damage_object(damaged.store_path, damaged.store.refs.get_head(damaged.volume.id).manifest)
    for _ in range(2):
        with pytest.raises(DamagedObjectError, match="object "):
            reader.reload()
    assert reader.status().version == 1
    assert sorted(os.listdir(reader.path)) == ["bad", "d", "good", "ours"]
    check_readable(reader.path, *FILES)
    reader.unmount(discard=True)


def test_a_damaged_tree_at_a_reload_leaves_the_old_view(damaged: Mounts) -> None:
    writer, reader = damaged.mount(), damaged.mount()
    check_readable(reader.path, *FILES)
    (writer.path / "d" / "new").touch()
    (writer.path / "good").unlink()
    writer.unmount()
    damage_object(damaged.store_path, find_tree(damaged.store, damaged.volume, b"d"))
    with pytest.raises(DamagedObjectError, match="object "):
        reader.reload()
    check_readable(reader.path, *FILES)
    assert sorted(os.listdir(reader.path / "d")) == ["e", "good"]
    assert reader.status().version == 1


def test_a_commit_onto_damage_publishes_nothing_and_loses_nothing(damaged: Mounts) -> None:
    writer, ours = damaged.mount(), damaged.mount()
    (writer.path / "d" / "theirs").touch()
    (ours.path / "d" / "ours").write_text("ours")
    writer.unmount()
    damage_object(damaged.store_path, find_tree(damaged.store, damaged.volume, b"d"))
    with pytest.raises(DataError, match="object "):
        ours.commit()
    assert damaged.version == 2
    assert (ours.path / "d" / "ours").read_text() == "ours"
    assert ours.status().dirty_files > 0
    ours.unmount(discard=True)


# --- the index ------------------------------------------------------------------


@pytest.mark.parametrize("row", [b"", b"\xff" * 32])
def test_a_damaged_index_row_is_eio_for_what_it_names(damaged: Mounts, row: bytes) -> None:
    oid = find_chunk(damaged.store, damaged.volume, b"bad")
    damaged.close_store()
    replace_index_row(damaged.store_path, oid, row)
    mounted = damaged.mount()
    damaged.expect("read bad: ")
    with fails(errno.EIO):
        (mounted.path / "bad").read_bytes()
    check_readable(mounted.path, "good", "d/good", "d/e/deep")
    mounted.wait_for_log(oid.hex())
    (mounted.path / "copy").write_bytes(noise(1))
    mounted.commit()
    assert (damaged.mount(read_only=True).path / "copy").read_bytes() == noise(1)
    damaged.is_damaged = False


def test_an_index_row_that_names_another_object_never_gives_its_bytes(damaged: Mounts) -> None:
    oid = find_chunk(damaged.store, damaged.volume, b"bad")
    other = find_chunk(damaged.store, damaged.volume, b"good")
    damaged.close_store()
    replace_index_row(damaged.store_path, oid, other=other)
    mounted = damaged.mount()
    damaged.expect("read bad: ")
    with fails(errno.EIO):
        (mounted.path / "bad").read_bytes()
    check_readable(mounted.path, "good")


@pytest.mark.parametrize("name", ["data.mdb"])
def test_a_damaged_index_is_no_store_to_mount(damaged: Mounts, name: str) -> None:
    damaged.close_store()
    path = damaged.store_path / "index" / name
    content = path.read_bytes()
    path.write_bytes(b"\0" * 8192 + content[8192:])
    place = damaged.place()
    with pytest.raises(VolfsError, match="index"):
        damaged.mount(place)
    assert not os.path.ismount(place)
    path.write_bytes(content)
    check_readable(damaged.mount(place).path, *FILES)
    damaged.is_damaged = False


# --- check ------------------------------------------------------------------------


def test_check_exits_1_and_names_versions_and_files(damaged: Mounts) -> None:
    mounted = damaged.mount()
    (mounted.path / "d" / "twin").write_bytes(noise(1))
    mounted.commit()
    (mounted.path / "bad").unlink()
    mounted.unmount()
    damage_object(damaged.store_path, find_chunk(damaged.store, damaged.volume, b"d", b"twin"))
    volfs = Command(damaged.directory)
    report = volfs("check", "--json", status=1).json
    found = {(item["volume"], item["path"], tuple(item["versions"])) for item in report["problems"]}
    assert found == {("data", "bad", (1, 2)), ("data", "d/twin", (2, 3))}
    text = volfs("check", status=1).out.decode()
    assert "bad" in text
    assert "d/twin" in text


def test_what_is_missing_is_named_by_check(damaged: Mounts) -> None:
    pack, _ = find_record(damaged.store_path, find_chunk(damaged.store, damaged.volume, b"bad"))
    pack.unlink()
    report = Command(damaged.directory)("check", "--json", status=1).json
    assert {item["path"] for item in report["problems"]} == set(FILES)
    with pytest.raises(MissingObjectError):
        damaged.store.objects_of(damaged.volume.id).load_object(
            find_chunk(damaged.store, damaged.volume, b"bad")
        )
