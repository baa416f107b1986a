"""Credentials that may not do everything, that expire, or that are for another region."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.calls import fails
from tests.harness.fault_proxy import Fault, FaultProxy, proxied
from tests.harness.mounted import wait_until
from volfs.buckets.access import iter_objects
from volfs.daemon.buckets import leftovers

pytestmark = pytest.mark.fuse
DENIED = {"status": 403, "code": "AccessDenied"}
OBJECT = r"/bucket-\d+/[^?]"
LISTING = r"list-type"


@pytest.fixture
def proxy(mounts: BucketMounts) -> Iterator[FaultProxy]:
    with proxied(mounts.server.endpoint, seed=3) as proxy:
        yield proxy


def list_keys(mounts: BucketMounts) -> list[str]:
    return [info.key for info in iter_objects(mounts.bucket)]


def discard_all() -> None:
    for left in leftovers.list_left():
        leftovers.discard_left(left.name)


def test_rights_for_some_requests_alone(mounts: BucketMounts, proxy: FaultProxy) -> None:
    mounts.mounts.expect("not uploaded", "is kept", "flush ", "may not do that", "copies of a")
    mounts.fill({"a": b"a", "d/b": b"b", "e/c": b"c"})
    plan = mounts.plan(endpoint=proxy.endpoint, metadata_ttl=0.0)
    path = mounts.mount(plan=plan).path
    for try_without in (try_listing_alone, try_without_listing, try_without_writing):
        try_without(mounts, proxy, path)
        proxy.clear()
    try_without_deleting(proxy, path)
    proxy.clear()
    for key, data in {"a": b"again", "d/b": b"b", "e/c": b"c"}.items():  # nothing is lost
        assert mounts.bucket.get(key)[1] == data
        assert (path / key).read_bytes() == data
    assert mounts.bucket.list_leftovers() == []
    discard_all()


def try_listing_alone(mounts: BucketMounts, proxy: FaultProxy, path: Path) -> None:
    proxy.add(Fault.STATUS, method="GET|HEAD", key=OBJECT, **DENIED)
    assert sorted(os.listdir(path)) == ["a", "d", "e"]
    assert (path / "a").stat().st_size == 1
    with fails(errno.EACCES):
        (path / "a").read_bytes()
    (path / "new").write_bytes(b"new")  # what may be written is written
    assert mounts.bucket.get("new")[1] == b"new"


def try_without_listing(mounts: BucketMounts, proxy: FaultProxy, path: Path) -> None:
    proxy.add(Fault.STATUS, method="GET", key=LISTING, **DENIED)
    for action in (lambda: os.listdir(path), lambda: (path / "a").stat()):
        with fails(errno.EACCES):
            action()


def try_without_writing(mounts: BucketMounts, proxy: FaultProxy, path: Path) -> None:
    proxy.add(Fault.STATUS, method="PUT|POST", key=OBJECT, **DENIED)
    assert (path / "a").read_bytes() == b"a"
    for write in (
        lambda: (path / "a").write_bytes(b"x"),
        lambda: (path / "f").mkdir(),
        lambda: os.open(path / "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY),
        lambda: (path / "a").rename(path / "f"),
        lambda: (path / "d").rename(path / "f"),
        lambda: os.truncate(path / "a", 0),
    ):
        with fails(errno.EACCES):
            write()
    assert list_keys(mounts) == ["a", "d/b", "e/c", "new"]
    assert mounts.bucket.get("a")[1] == b"a"


def try_without_deleting(proxy: FaultProxy, path: Path) -> None:
    proxy.add(Fault.STATUS, method="DELETE", **DENIED)
    proxy.add(Fault.STATUS, method="POST", key=r"\?delete", **DENIED)
    (path / "a").write_bytes(b"again")
    for remove in (
        lambda: (path / "a").unlink(),
        lambda: (path / "e/c").unlink(),
        lambda: (path / "a").rename(path / "moved"),
        lambda: (path / "d").rename(path / "moved-d"),
    ):
        with fails(errno.EACCES):
            remove()


def test_who_may_not_list_is_told_so(mounts: BucketMounts, proxy: FaultProxy) -> None:
    mounts.fill({"p/a": b"a"})
    proxy.add(Fault.STATUS, method="GET", key=LISTING, **DENIED)
    url = f"s3://{mounts.name}/p?endpoint={proxy.endpoint}"
    said = mounts.volfs("bucket", "mount", url, mounts.mounts.place(), check=False)
    assert "LIST: these credentials may not do that" in said


def test_keys_of_a_reader(mounts: BucketMounts) -> None:
    """SeaweedFS checks rights itself."""
    mounts.mounts.expect("not uploaded", "is kept", "flush ", "may not do that")
    mounts.fill({"a": b"a"})
    server = mounts.server
    secret = {
        "AWS_ACCESS_KEY_ID": server.reader_key,
        "AWS_SECRET_ACCESS_KEY": server.reader_secret,
    }
    path = mounts.mount(plan=mounts.plan(secret=secret)).path
    assert (path / "a").read_bytes() == b"a"
    with fails(errno.EACCES):
        (path / "a").write_bytes(b"x")
    with fails(errno.EACCES):
        (path / "a").unlink()
    assert (path / "a").read_bytes() == b"a"
    discard_all()


def test_keys_expire_while_the_mount_is_up(
    mounts: BucketMounts, proxy: FaultProxy, tmp_path: Path
) -> None:
    """A program gives keys. They end before they said so: what is asked then fails, until the
    program gives others, and nobody mounts again."""
    mounts.mounts.expect("not uploaded", "is kept", "flush ", "expired")
    mounts.fill({"a": b"a", "b": b"b" * 100_000, "c": b"c"})
    server, keys = mounts.server, tmp_path / "keys.json"

    def give(access: str, secret: str) -> None:
        told = {"Version": 1, "AccessKeyId": access, "SecretAccessKey": secret}
        keys.write_text(json.dumps(told | {"Expiration": "2096-01-01T00:00:00Z"}))

    give(server.reader_key, server.reader_secret)
    config = tmp_path / "config"
    config.write_text(f"[profile dev]\ncredential_process = cat {keys}\n")
    environ = {"AWS_CONFIG_FILE": str(config), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    plan = mounts.plan(
        endpoint=proxy.endpoint, secret=None, profile="dev", environ=environ, metadata_ttl=0.0
    )
    mounted = mounts.mount(plan=plan)
    path = mounted.path
    assert (path / "a").read_bytes() == b"a"
    ended = {"status": 400, "code": "ExpiredToken"}
    proxy.add(Fault.STATUS, header=f"authorization: .*{server.reader_key}", **ended)
    for action in (
        lambda: os.listdir(path),
        lambda: (path / "b").read_bytes(),
        lambda: (path / "new").write_bytes(b"n"),
    ):
        with fails(errno.EACCES):
            action()
    assert mounted.status().bucket.unreachable_since_ns is None  # it is there, and refuses
    give(server.access_key, server.secret_key)
    wait_until(lambda: os.listdir(path) != [], "the listing")
    assert (path / "b").read_bytes() == b"b" * 100_000
    (path / "new").write_bytes(b"n")
    assert mounts.bucket.get("new")[1] == b"n"
    discard_all()


def test_a_region_that_is_wrong(mounts: BucketMounts, proxy: FaultProxy) -> None:
    """One that an address names is believed, and the error says which is right; one of the
    environment is only a guess about this bucket."""
    mounts.fill({"a": b"a"})
    moved = (("x-amz-bucket-region", "eu-north-1"),)
    url, place = f"s3://{mounts.name}?endpoint={proxy.endpoint}", mounts.mounts.place()
    elsewhere = {"headers": moved, "header": "authorization: .*/us-east-1/"}
    proxy.add(Fault.STATUS, status=301, code="PermanentRedirect", **elsewhere)
    said = mounts.volfs("bucket", "mount", f"{url}&region=us-east-1", place, check=False)
    assert "in another region" in said
    assert "region=eu-north-1" in said
    proxy.clear()
    proxy.add(Fault.STATUS, status=400, code="AuthorizationHeaderMalformed", **elsewhere)
    mounts.volfs("bucket", "mount", url, place)  # AWS_REGION=us-east-1 is in the environment
    try:
        assert (place / "a").read_bytes() == b"a"
        (place / "new").write_bytes(b"n")
    finally:
        mounts.volfs("bucket", "umount", place)
    assert mounts.bucket.get("new")[1] == b"n"
