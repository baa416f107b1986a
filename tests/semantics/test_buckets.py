"""What a mount of a bucket promises, sentence by sentence.

The docstring of a test is the sentence; every corner is tested in ``tests/bucket_mounts``,
``tests/bucketfs`` and ``tests/buckets``.
"""

from __future__ import annotations

import errno
import json
import os

import pytest

from tests.bucket_mounts.conftest import moto, mounts, seaweed
from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.calls import fails
from tests.harness.mounted import wait_until

__all__ = ["moto", "mounts", "seaweed"]
pytestmark = pytest.mark.fuse


def test_closed_is_there(mounts: BucketMounts) -> None:
    """When ``close`` or ``fsync`` returns, the whole file is in the bucket, and before that
    nothing of it is. There is no commit and no reload. Two who append in one mount lose nothing."""
    path = mounts.mount().path
    one = os.open(path / "f", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    other = os.open(path / "f", os.O_WRONLY | os.O_APPEND)
    os.write(one, b"one ")
    os.write(other, b"other")
    assert not mounts.bucket.list_page("").objects
    os.fsync(one)
    assert mounts.bucket.get("f")[1] == b"one other"
    os.close(one)
    os.close(other)
    mounts.bucket.put("g", b"of others")
    wait_until(lambda: (path / "g").exists(), "what others write to be seen")


def test_never_a_mixture(mounts: BucketMounts) -> None:
    """An open file stays the object that it was: ``ESTALE`` where that is gone. Of two mounts,
    the last close wins, with its whole file. What a bucket cannot keep is refused."""
    mounts.fill({"f": b"a" * (9 << 20)})
    path, second = mounts.mount().path, mounts.mount().path
    descriptor = os.open(path / "f", os.O_RDONLY)
    mounts.bucket.put("f", b"b" * (9 << 20))
    with fails(errno.ESTALE):
        for start in range(0, 9 << 20, 1 << 20):
            assert set(os.pread(descriptor, 1 << 20, start)) <= {ord("a")}
    os.close(descriptor)
    (path / "w").write_bytes(b"first")
    (second / "w").write_bytes(b"last")
    assert mounts.bucket.get("w")[1] == b"last"
    for call in (
        lambda: os.symlink("f", path / "link"),
        lambda: os.link(path / "f", path / "hard"),
        lambda: os.chmod(path / "f", 0o600),
    ):
        with fails(errno.EPERM):
            call()


def test_uncommitted_work_stays(mounts: BucketMounts) -> None:
    """What a dead daemon had not uploaded is kept, and uploaded only when it is asked for."""
    mounts.mounts.create("unused")
    mounted = mounts.mount()
    descriptor = os.open(mounted.path / "f", os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"not closed")
    mounted.kill()
    with fails(errno.ENOTCONN):
        os.close(descriptor)
    assert os.listdir(mounts.mount().path) == []
    (left,) = json.loads(mounts.volfs("overlays", "--json"))
    mounts.volfs("overlays", "commit", left["name"])
    assert mounts.bucket.get("f")[1] == b"not closed"
