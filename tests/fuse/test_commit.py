"""Commits of a mount that is in use."""

from __future__ import annotations

import mmap
import os
import random
from pathlib import Path

import pytest

from tests.harness.calls import start_python
from tests.harness.mounted import Mounts
from volfs.errors import OverriddenError
from volfs.model.names import parse_path
from volfs.volume.version_reader import Reader, iter_content_bytes

pytestmark = pytest.mark.fuse


def read_version(mounts: Mounts, path: str, version: int | None = None) -> bytes:
    """A file's content in a version, read without a mount."""
    store, volume = mounts.store, mounts.volume
    number = mounts.version if version is None else version
    manifest = store.refs.find_version(volume.id, number)
    assert manifest is not None
    reader = Reader(store.objects_of(volume.id).load_object)
    entry = reader.get_path(reader.load_manifest(manifest).snapshot, parse_path(path))
    return b"".join(
        bytes(piece) for piece in iter_content_bytes(reader, store.objects_of(volume.id), entry)
    )


def test_nothing_changed_makes_no_version(mounts: Mounts) -> None:
    mounted = mounts.mount()
    assert not mounted.commit().changed
    (mounted.path / "f").touch()
    assert (mounted.commit().changed, mounts.version) == (True, 1)
    assert (mounted.commit().changed, mounts.version) == (False, 1)
    (mounted.path / "f").read_bytes()
    assert (mounted.commit().changed, mounts.version) == (False, 1)
    assert mounted.status().dirty_files == mounted.status().dirty_bytes == 0


@pytest.mark.anywhere
def test_nothing_is_seen_before_the_commit(mounts: Mounts) -> None:
    one, two = mounts.mount(), mounts.mount()
    (one.path / "f").write_bytes(b"x")
    assert mounts.version == 0
    two.reload()
    assert os.listdir(two.path) == []
    one.commit()
    assert os.listdir(two.path) == []
    two.reload()
    assert (two.path / "f").read_bytes() == b"x"


def test_a_commit_is_one_moment_of_files_being_written(mounts: Mounts) -> None:
    """A writes n to a, then n to b: no version has anything but b <= a <= b + 1."""
    mounted = mounts.mount()
    code = """
import os, sys
os.chdir(sys.argv[1])
a, b = (os.open(name, os.O_CREAT | os.O_WRONLY) for name in "ab")
for number in range(10**9):
    for file in (a, b): os.pwrite(file, b"%010d" % number, 0)
    if number == 0: print("going", flush=True)
"""
    writer = start_python(code, mounted.path)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "going\n"
        seen = []
        for _ in range(30):
            version = mounted.commit().version
            a, b = (int(read_version(mounts, name, version)) for name in "ab")
            assert b <= a <= b + 1
            seen.append(a)
        assert seen == sorted(seen)
        assert seen[-1] > seen[0]
    finally:
        writer.kill()
        writer.communicate()


def test_files_replaced_by_rename_are_never_torn_or_empty(mounts: Mounts) -> None:
    mounted = mounts.mount()
    code = """
import os, sys, tempfile
os.chdir(sys.argv[1])
for number in range(10**9):
    descriptor, name = tempfile.mkstemp(dir=".")
    with open(descriptor, "wb") as file: file.write(bytes([number % 256]) * 100_000)
    os.replace(name, "f")
    if number == 0: print("going", flush=True)
"""
    writer = start_python(code, mounted.path)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "going\n"
        for _ in range(20):
            data = read_version(mounts, "f", mounted.commit().version)
            assert len(data) == 100_000
            assert len(set(data)) == 1
    finally:
        writer.kill()
        writer.communicate()


@pytest.mark.anywhere
def test_dirty_pages_of_a_mapping_are_in_the_commit(mounts: Mounts) -> None:
    mounted = mounts.mount()
    path = mounted.path / "f"
    path.write_bytes(bytes(100_000))
    mounted.commit()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        for round_number in range(1, 4):
            mapped[50_000:50_001] = bytes([round_number])
            mounted.commit()
            assert read_version(mounts, "f")[50_000] == round_number


def test_files_stay_open_and_inodes_the_same(mounts: Mounts) -> None:
    mounted = mounts.mount()
    path = mounted.path / "f"
    with path.open("w+b", buffering=0) as file:
        file.write(b"one")
        before = os.fstat(file.fileno())
        mounted.commit()
        assert path.stat() == before == os.fstat(file.fileno())
        file.write(b"two")
        os.rename(path, mounted.path / "g")
        mounted.commit()
        assert os.pread(file.fileno(), 10, 0) == b"onetwo"
        (mounted.path / "g").unlink()
        mounted.commit()
        os.pwrite(file.fileno(), b"ONE", 0)
        assert os.pread(file.fileno(), 10, 0) == b"ONEtwo"
    assert (mounted.path.stat().st_ino, before.st_nlink) == (1, 1)
    assert mounted.commit().changed is False


@pytest.mark.anywhere
def test_commits_of_two_mounts_merge(mounts: Mounts) -> None:
    one, two = mounts.mount(), mounts.mount()
    for mounted, name in ((one, "one"), (two, "two")):
        (mounted.path / "d").mkdir()
        (mounted.path / "d" / name).write_text(name)
        (mounted.path / "same").write_text(name)
    assert one.commit().overridden == []
    mounts.expect("overrides theirs")
    result = two.commit()
    assert result.overridden == [{"path": "same", "theirs": "created", "ours": "created"}]
    assert not (two.path / "d" / "one").exists(), "a commit changes no view"
    for mounted in (one, two):
        mounted.reload()
        assert sorted(os.listdir(mounted.path / "d")) == ["one", "two"]
        assert (mounted.path / "same").read_text() == "two"
    assert read_version(mounts, "same", 1) == b"one"


@pytest.mark.anywhere
def test_a_commit_that_would_override_can_be_refused(mounts: Mounts) -> None:
    one, two = mounts.mount(), mounts.mount()
    (one.path / "f").write_text("one")
    (two.path / "f").write_text("two")
    (two.path / "g").write_text("two")
    one.commit()
    before = two.status()
    with pytest.raises(OverriddenError, match="f"):
        two.commit(on_conflict="fail")
    assert mounts.version == 1
    assert (two.path / "f").read_text() == "two"
    assert two.status().dirty_files == before.dirty_files
    mounts.expect("overrides theirs")
    assert two.commit().version == 2
    assert read_version(mounts, "f") == b"two"


def test_what_one_deleted_and_the_other_changed(mounts: Mounts) -> None:
    one, two = mounts.mount(), mounts.mount()
    for name in ("f", "g"):
        (one.path / name).write_text("old")
    one.commit()
    two.reload()
    (one.path / "f").unlink()
    (one.path / "g").write_text("new")
    (two.path / "f").write_text("new")
    (two.path / "g").unlink()
    one.commit()
    mounts.expect("overrides theirs")
    assert [item["path"] for item in two.commit().overridden] == ["f", "g"]
    one.reload()
    assert os.listdir(one.path) == ["f"]
    assert (one.path / "f").read_text() == "new"


def test_the_cost_of_a_commit_follows_the_change(mounts: Mounts) -> None:
    mounted = mounts.mount()
    (mounted.path / "big").write_bytes(random.Random(1).randbytes(8 << 20))
    for number in range(500):
        (mounted.path / f"{number}").touch()
    assert mounted.commit().new_bytes > 8 << 20
    with (mounted.path / "big").open("r+b") as file:
        for offset in range(0, 8 << 20, 1 << 20):
            os.pwrite(file.fileno(), b"changed", offset)
    assert mounted.commit().new_bytes < 1 << 20


def test_sync_of_the_mount_point_commits_iff_auto_commit_is_on(mounts: Mounts) -> None:
    on, off = mounts.mount(auto_commit=3600.0), mounts.mount()
    for mounted in (off, on):
        (mounted.path / mounted.path.name).touch()
        (mounted.path / "d").mkdir()
        for directory, commits in ((mounted.path / "d", False), (mounted.path, mounted is on)):
            before = mounts.version
            descriptor = os.open(directory, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
            assert mounts.version == before + commits


def test_background_commits(mounts: Mounts, tmp_path: Path) -> None:
    from tests.harness.mounted import wait_until

    mounted = mounts.mount(auto_commit=0.05)
    (mounted.path / "f").write_text("x")
    wait_until(lambda: mounts.version >= 1 and mounted.status().dirty_files == 0, "a commit")
    assert read_version(mounts, "f") == b"x"
    before = mounts.version
    mounted.unmount()
    assert mounts.version == before
