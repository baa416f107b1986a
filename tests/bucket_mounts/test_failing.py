"""Uploads that fail, and daemons that die: the program hears it, and the bytes are kept."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.calls import fails
from tests.harness.disks import fill, memory_disk
from tests.harness.fault_proxy import Fault, FaultProxy, proxied
from tests.harness.mounted import Mounted, wait_until
from volfs.bucketfs.staged import create_staged
from volfs.bucketfs.staging import StagingFacts
from volfs.daemon.buckets import leftovers
from volfs.errors import MountError

pytestmark = pytest.mark.fuse
BIG = hashlib.shake_256(b"fail").digest(18 << 20)


@pytest.fixture
def proxy(mounts: BucketMounts) -> Iterator[FaultProxy]:
    with proxied(mounts.server.endpoint, seed=7) as proxy:
        yield proxy


def mount_by(mounts: BucketMounts, proxy: FaultProxy, **options: object) -> Mounted:
    plan = mounts.plan(endpoint=proxy.endpoint, deadline=3.0, metadata_ttl=0.2)
    return mounts.mount(plan=plan, **options)


def list_left(mounts: BucketMounts) -> list[dict[str, object]]:
    return list(json.loads(mounts.volfs("overlays", "--json")))


def test_a_failed_upload_is_heard_and_kept(mounts: BucketMounts, proxy: FaultProxy) -> None:
    mounts.mounts.expect("not uploaded", "is kept", "flush ")
    mounts.mounts.create("unused")
    mounts.fill({"denied": b"before"})
    mounted = mount_by(mounts, proxy)
    path = mounted.path
    proxy.add(Fault.STATUS, method="PUT", key="denied", status=403, code="AccessDenied")
    proxy.add(Fault.STATUS, method="PUT", key="full", status=507, code="QuotaExceeded")
    proxy.add(Fault.STATUS, method="PUT", key="broken", status=500, code="InternalError")
    proxy.add(Fault.STATUS, method="PUT", key="partNumber=2", status=403, code="AccessDenied")
    for name, number in (("denied", errno.EACCES), ("broken", errno.EIO), ("big", errno.EACCES)):
        descriptor = os.open(path / name, os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, BIG if name == "big" else name.encode())
        with fails(number):
            os.close(descriptor)
    assert mounts.bucket.list_leftovers() == []  # no parts stay
    assert (path / "denied").read_bytes() == b"before"
    wait_until(lambda: sorted(os.listdir(path)) == ["denied"], "the names to be the bucket's")
    assert mounted.status().bucket.left_files == 3
    left = list_left(mounts)
    assert [(one["state"], one["files"]) for one in left] == [("dead", 3)]
    proxy.clear()
    (path / "denied").write_bytes(b"once more")  # the mount goes on
    name = left[0]["name"]
    assert "others have written" in mounts.volfs(
        "overlays", "commit", name, "--on-conflict", "fail", check=False
    )
    said = json.loads(mounts.volfs("overlays", "commit", "--json", name))
    assert said == {"uploaded": 3, "bytes": len(BIG) + len("deniedbroken"), "problems": []}
    assert mounts.bucket.get("denied")[1] == b"deniedbefore"[:6]
    assert bytes(mounts.bucket.get("big")[1]) == BIG
    assert list_left(mounts) == []


def test_what_a_killed_daemon_had_is_uploaded_by_name(mounts: BucketMounts, tmp_path: Path) -> None:
    mounts.mounts.create("unused")
    mounts.fill({"base": BIG})
    mounted = mounts.mount()
    over = os.open(mounted.path / "base", os.O_RDWR)
    new = os.open(mounted.path / "new", os.O_WRONLY | os.O_CREAT)
    os.pwrite(over, b"changed", 1 << 20)
    os.ftruncate(over, 17 << 20)
    os.write(new, b"never closed")
    # In this process: a child would close what it inherits, which is an upload.
    left = leftovers.list_left()
    assert [(one.state, one.files) for one in left] == [("alive", 2)]
    name = left[0].name
    with pytest.raises(MountError, match="living daemon"):
        leftovers.discard_left(name)
    mounted.kill()
    for descriptor in (over, new):
        with fails(errno.ENOTCONN):
            os.close(descriptor)
    expected = bytearray(BIG[: 17 << 20])
    expected[1 << 20 : (1 << 20) + 7] = b"changed"
    mounts.volfs("overlays", "export", name, tmp_path / "out")
    assert (tmp_path / "out/base").read_bytes() == expected
    assert (tmp_path / "out/new").read_bytes() == b"never closed"
    mounts.volfs("overlays", "commit", name)
    assert bytes(mounts.bucket.get("base")[1]) == expected
    assert mounts.bucket.get("new")[1] == b"never closed"
    assert list_left(mounts) == []


def test_a_signal_uploads_what_is_open(mounts: BucketMounts) -> None:
    mounted = mounts.mount()
    descriptor = os.open(mounted.path / "open", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"not closed")
    mounted.signal(15)
    mounted.wait_for_end()
    assert mounts.bucket.get("open")[1] == b"not closed"
    with fails(errno.ENOTCONN):
        os.close(descriptor)
    assert not list((mounts.state / "buckets").iterdir())


def test_a_bucket_that_does_not_answer(mounts: BucketMounts, proxy: FaultProxy) -> None:
    """Errors after the deadline, and at once while it lasts; then all is as before."""
    mounts.mounts.expect("s3://")
    mounts.fill({"f": b"f" * 100_000, "d/x": b"x"})
    path = mount_by(mounts, proxy, read_only=True).path
    assert os.listdir(path / "d") == ["x"]
    proxy.add(Fault.STATUS, status=503, code="SlowDown")
    wait_until(lambda: _fails(path), "the mount to notice")
    with fails(errno.EIO):
        (path / "f").read_bytes()
    said = json.loads(mounts.volfs("bucket", "status", "--json"))
    assert [one["state"] for one in said] == ["unreachable"]
    proxy.clear()
    wait_until(lambda: not _fails(path), "the mount to be well again")
    assert (path / "f").read_bytes() == b"f" * 100_000
    proxy.add(Fault.CUT, method="GET", key="/f", count=2)
    proxy.add(Fault.RESET, method="GET", key="list-type", count=2)
    assert (path / "f").read_bytes() == b"f" * 100_000
    assert os.listdir(path / "d") == ["x"]


def _fails(path: Path) -> bool:
    try:
        os.listdir(path / "d")
    except OSError as error:
        return error.errno == errno.EIO
    return False


def test_a_full_disk_is_heard(mounts: BucketMounts, tmp_path: Path) -> None:
    mounts.mounts.expect("no room left")
    with memory_disk(tmp_path, 4 << 20) as disk:
        mounts.mounts.environment["VOLFS_STATE_DIR"] = str(disk)
        mounted = mounts.mount()
        path = mounted.path
        with (path / "f").open("wb", buffering=0) as file:
            file.write(b"fits")
            ballast = fill(disk)
            with fails(errno.ENOSPC):
                for _ in range(100):
                    file.write(bytes(1 << 16))
            ballast.unlink()
            file.write(b"fits again")
        assert mounts.bucket.get("f")[1][-10:] == b"fits again"
        mounted.unmount()


def test_export_stays_in_its_directory(mounts: BucketMounts, tmp_path: Path) -> None:
    """Neither a key nor a link in the directory leads out of it; one bad file costs no other."""
    mounts.mounts.create("unused")
    place = mounts.state / "buckets/planted"
    place.mkdir(parents=True)
    facts = StagingFacts(mounts.plan().address)
    (place / "bucket.json").write_bytes(msgspec.json.encode(facts))
    (place / "lock").touch()
    absolute = tmp_path / "absolute"
    keys = (f"{absolute}", "../above", "d/../../above", "link/f", "d/file", "f", "gone")
    for number, key in enumerate(keys):
        staged = create_staged(place / str(number), key, None)
        staged.write(0, key.encode())
        staged.close()
    (place / "6.data").unlink()
    out, outside = tmp_path / "out", tmp_path / "outside"
    out.mkdir()
    outside.mkdir()
    (out / "link").symlink_to(outside)
    (out / "f").write_text("former")
    said = mounts.volfs("overlays", "export", "planted", out, "--force", check=False)
    assert (out / "d/file").read_text() == "d/file"
    assert (out / "f").read_text() == "f"  # a file that was there is replaced
    assert not absolute.exists()
    assert not (tmp_path / "above").exists()
    assert os.listdir(outside) == []
    assert all(text in said for text in ("../above", "d/../../above", "link", "6.data")), said
    shutil.rmtree(place)


def test_an_export_to_a_full_disk_ends(mounts: BucketMounts, tmp_path: Path) -> None:
    """It says so, and no part of a file stays."""
    mounts.mounts.create("unused")
    mounted = mounts.mount()
    descriptor = os.open(mounted.path / "big", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, BIG)
    name = leftovers.list_left()[0].name
    mounted.kill()
    with fails(errno.ENOTCONN):
        os.close(descriptor)
    with memory_disk(tmp_path, 4 << 20) as disk:
        said = mounts.volfs("overlays", "export", name, disk / "out", check=False)
        assert "No space left" in said
        assert os.listdir(disk / "out") == []
    mounts.volfs("overlays", "export", name, tmp_path / "out")
    assert (tmp_path / "out/big").read_bytes() == BIG
    mounts.volfs("overlays", "discard", name)
