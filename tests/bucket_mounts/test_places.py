"""Local places of a bucket's mount that are too small, or that others can change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.disks import memory_disk
from volfs.bucketfs.staging import BUCKETS, Staging, StagingFacts
from volfs.errors import LocalFileError

pytestmark = pytest.mark.fuse
STRANGER = 12345


def make_odd(directory: Path) -> dict[str, Path]:
    """Places where others may have a say, by what is wrong with them."""
    names = ("strange", "open", "inner", "elsewhere", "sticky")
    strange, open_to_all, inner, elsewhere, sticky = (directory / name for name in names)
    for place in (strange, open_to_all, inner / BUCKETS, elsewhere, sticky / BUCKETS):
        place.mkdir(parents=True)
    os.chown(strange, STRANGER, STRANGER)
    open_to_all.chmod(0o777)
    os.chown(inner / BUCKETS, STRANGER, STRANGER)
    (inner / BUCKETS).chmod(0o777)
    sticky.chmod(0o1777)
    (sticky / BUCKETS).rmdir()
    (sticky / BUCKETS).symlink_to(elsewhere)
    os.lchown(sticky / BUCKETS, STRANGER, STRANGER)
    (directory / "file").write_text("a file")
    return {
        "belongs to another user": strange,
        "others may write": open_to_all,
        "belongs to another user ": inner,
        "a symbolic link": sticky,
        "is not a directory": directory / "file",
    }


def test_nothing_is_staged_where_others_can_change_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for why, place in make_odd(tmp_path).items():
        staging = Staging(place, "bucket", StagingFacts("memory"))
        with pytest.raises(LocalFileError, match=f"{why.strip()}.*VOLFS_STATE_DIR"):
            staging.check()
        with pytest.raises(LocalFileError, match=why.strip()):
            staging.create("key", None)
    assert os.listdir(tmp_path / "elsewhere") == []
    mine = Staging(tmp_path / "not/yet", "bucket", StagingFacts("memory"))
    mine.check()
    mine.create("key", None).remove()
    assert not mine.finish()


def test_a_mount_without_a_safe_place(mounts: BucketMounts, tmp_path: Path) -> None:
    """It cannot be written; a read-only one needs no place, and no cache."""
    mounts.fill({"f": b"f" * 100_000})
    odd = make_odd(tmp_path)["a symbolic link"]
    mounts.mounts.environment |= {"VOLFS_STATE_DIR": str(odd), "VOLFS_CACHE_DIR": str(odd)}
    url, place = f"s3://{mounts.name}", mounts.mounts.place()
    said = mounts.volfs("bucket", "mount", url, place, check=False)
    last = said.splitlines()[-1]  # before it there may be one that says what is waited for
    assert last.startswith("volfs: bucket mount: ")
    assert "not safe for what is written to buckets: a symbolic link" in last
    assert "not safe" in mounts.volfs("overlays", check=False)
    mounts.mounts.expect("takes nothing at the moment")
    path = mounts.mount(read_only=True).path
    assert (path / "f").read_bytes() == b"f" * 100_000
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_cache_without_room(mounts: BucketMounts, tmp_path: Path) -> None:
    """Bytes are right when the cache's disk is full, when the cache may take almost nothing, and
    without a cache; a size that is none is refused."""
    big = os.urandom(6 << 20)
    mounts.fill({"big": big})
    mounts.mounts.expect("takes nothing at the moment", "cache ")
    with memory_disk(tmp_path, 1 << 20) as disk:
        for changes in (
            {"VOLFS_CACHE_DIR": str(disk), "VOLFS_CACHE_SIZE": "100%"},
            {"VOLFS_CACHE_DIR": str(disk / "x"), "VOLFS_CACHE_SIZE": "1"},
            {"VOLFS_CACHE_SIZE": "0"},
        ):
            mounts.mounts.environment |= changes
            mounted = mounts.mount(read_only=True)
            for _ in range(2):
                assert (mounted.path / "big").read_bytes() == big
            mounted.unmount()
    for size in ("-1", "tiny"):
        environ = {"VOLFS_CACHE_SIZE": size}
        done = mounts.run(
            "bucket", "mount", f"s3://{mounts.name}", mounts.mounts.place(), environ=environ
        )
        assert f"VOLFS_CACHE_SIZE: '{size}' is no size" in done.stderr
