"""A bucket that is written through the kernel: what is closed is there, and nothing else."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.calls import fails, renameat2
from volfs.buckets.access import iter_objects
from volfs.errors import ObjectNotFoundError

pytestmark = pytest.mark.fuse
BIG = hashlib.shake_256(b"big").digest(40 << 20)
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2


def read_all(mounts: BucketMounts) -> dict[str, bytes]:
    """What the bucket has, as others see it; markers of directories end with a slash."""
    return {info.key: bytes(mounts.bucket.get(info.key)[1]) for info in iter_objects(mounts.bucket)}


def test_what_is_closed_is_in_the_bucket(mounts: BucketMounts) -> None:
    path = mounts.mount().path
    (path / "small").write_bytes(b"small")
    assert mounts.bucket.get("small")[1] == b"small"
    (path / "small").write_bytes(b"again")
    with (path / "small").open("ab") as file:
        file.write(b" and more")
    (path / "big").write_bytes(BIG)
    assert bytes(mounts.bucket.get("big")[1]) == BIG
    with (path / "big").open("r+b") as file:  # bytes of the object before, and new ones
        file.seek(20 << 20)
        file.write(b"new")
        file.flush()
        os.fsync(file.fileno())
        assert bytes(mounts.bucket.get_range("big", (20 << 20) - 1, 5))[1:4] == b"new"
        file.truncate(30 << 20)
        file.seek(0)
        assert file.read(10) == BIG[:10]
    changed = bytearray(BIG[: 30 << 20])
    changed[20 << 20 : (20 << 20) + 3] = b"new"
    assert bytes(mounts.bucket.get("big")[1]) == changed == (path / "big").read_bytes()
    with (path / "mapped").open("w+b") as file:
        file.truncate(10_000)
        with mmap.mmap(file.fileno(), 0) as mapped:
            mapped[5000:5004] = b"mmap"
    assert mounts.bucket.get("mapped")[1][4999:5005] == b"\0mmap\0"
    os.truncate(path / "small", 3)
    assert mounts.bucket.get("small")[1] == b"aga"
    (path / "empty").touch()
    assert mounts.bucket.head("empty").size == 0
    assert mounts.bucket.list_leftovers() == []
    # Nothing is kept of what is uploaded, and few files are.
    kept = list((mounts.state / "buckets").glob("*/*.data"))
    assert len(kept) < 3
    assert not any(place.stat().st_size for place in kept)


def test_names_are_made_and_removed(mounts: BucketMounts) -> None:
    path = mounts.mount().path
    (path / "d/e").mkdir(parents=True)
    assert set(read_all(mounts)) == {"d/", "d/e/"}
    (path / "d/e/f").write_bytes(b"f")
    with fails(errno.EEXIST):
        (path / "d").mkdir()
    with fails(errno.EEXIST):
        os.open(path / "d/e/f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    with fails(errno.ENOTEMPTY):
        (path / "d/e").rmdir()
    mounts.bucket.put("others", b"o")  # after the mount saw that there is none
    with fails(errno.EEXIST):
        os.open(path / "others", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    with fails(errno.EEXIST):
        renameat2(path / "d/e/f", path / "others", RENAME_NOREPLACE)
    with fails(errno.EINVAL):
        renameat2(path / "d/e/f", path / "others", RENAME_EXCHANGE)
    for refused in (
        lambda: os.link(path / "others", path / "link"),
        lambda: os.symlink("others", path / "link"),
        lambda: os.mkfifo(path / "fifo"),
        lambda: os.chmod(path / "others", 0o600),
        lambda: os.chown(path / "others", 12, 34),
    ):
        with fails(errno.EPERM):
            refused()
    os.chmod(path / "others", 0o644)
    os.chown(path / "others", os.geteuid(), os.getegid())
    os.utime(path / "others", ns=(1, 2_000_000_003))
    assert (path / "others").stat().st_mtime_ns == 2_000_000_003
    with fails(errno.ENOTSUP):
        os.setxattr(path / "others", "user.x", b"y")
    with fails(errno.EINVAL):
        os.mkdir(os.fsencode(path) + b"/\xff")
    with fails(errno.ENAMETOOLONG):
        (path / ("n" * 256)).mkdir()
    (path / "d/e/f").unlink()
    assert os.listdir(path / "d/e") == []  # a directory stays when its last file goes
    shutil.rmtree(path / "d")
    assert set(read_all(mounts)) == {"others"}


def test_renames_take_open_files_along(mounts: BucketMounts) -> None:
    mounts.fill({"a": b"old a", "t/x/1": BIG[:100_000], "t/x/2": b"two", "t/y": b"y"})
    path = mounts.mount().path
    with (path / "a").open("rb") as reader, (path / "new").open("wb") as writer:
        writer.write(b"written ")
        writer.flush()
        (path / "a").rename(path / "b")
        (path / "new").rename(path / "moved")
        assert set(read_all(mounts)) == {"b", "moved", "t/x/1", "t/x/2", "t/y"}
        assert mounts.bucket.get("moved")[1] == b"written "
        writer.write(b"later")
        assert reader.read() == b"old a"
    assert mounts.bucket.get("moved")[1] == b"written later"
    with (path / "t/x/1").open("r+b") as file:
        (path / "t").rename(path / "u")
        file.write(b"!")
    assert read_all(mounts)["u/x/1"] == b"!" + BIG[1:100_000]
    assert set(read_all(mounts)) == {"b", "moved", "u/x/1", "u/x/2", "u/y"}
    assert sorted(os.listdir(path)) == ["b", "moved", "u"]
    (path / "moved").rename(path / "b")
    assert (path / "b").read_bytes() == b"written later" == mounts.bucket.get("b")[1]
    (path / "v").mkdir()
    (path / "u").rename(path / "v")
    with pytest.raises(ObjectNotFoundError):
        mounts.bucket.head("u/y")
    assert read_all(mounts)["v/y"] == b"y"


def test_locks_and_two_writers(mounts: BucketMounts) -> None:
    mounts.mounts.expect("is overwritten")
    first, second = mounts.mount().path, mounts.mount().path
    with (first / "f").open("wb") as one, (second / "f").open("wb") as two:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)  # within each mount
        with (first / "f").open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        one.write(b"one" * 1000)
        two.write(b"two")
        one.close()
        two.close()
    assert mounts.bucket.get("f")[1] == b"two"


def test_real_programs(mounts: BucketMounts, tmp_path: Path) -> None:
    path = mounts.mount().path
    source = tmp_path / "source"
    (source / "deep/er").mkdir(parents=True)
    for number in range(50):
        (source / f"deep/file{number}").write_bytes(BIG[number : number * 3000])
    (source / "deep/er/big").write_bytes(BIG[: 18 << 20])
    subprocess.run(["cp", "-r", source / "deep", path / "copied"], check=True)
    subprocess.run(["diff", "-r", source / "deep", path / "copied"], check=True)
    subprocess.run(["tar", "cf", path / "t.tar", "-C", source, "deep"], check=True)
    subprocess.run(["tar", "xf", path / "t.tar", "-C", path, "--no-same-owner"], check=True)
    subprocess.run(["diff", "-r", source / "deep", path / "deep"], check=True)
    with (source / "deep/er/big").open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"changed")
    command = ["rsync", "-r", "--inplace", "--no-whole-file", "--checksum"]
    subprocess.run([*command, f"{source}/deep/", path / "deep/"], check=True)
    assert bytes(mounts.bucket.get("deep/er/big")[1]) == (source / "deep/er/big").read_bytes()
    subprocess.run(["rsync", "-r", f"{source}/deep/", path / "synced/"], check=True)
    subprocess.run(["diff", "-r", source / "deep", path / "synced"], check=True)
    subprocess.run(["mv", path / "synced", path / "renamed"], check=True)
    subprocess.run(["rm", "-r", path / "renamed", path / "copied"], check=True)
    assert sorted(os.listdir(path)) == ["deep", "t.tar"]
