"""Buckets in containers: beside volumes, as private mounts that end with the container."""

from __future__ import annotations

import pytest

from tests.bucket_mounts.mounted import BucketMounts
from volfs.control.mounts import list_volfs_mounts

pytestmark = pytest.mark.fuse


def test_a_command_sees_a_bucket_and_a_volume(mounts: BucketMounts) -> None:
    mounts.fill({"in/a": b"a\n", "in/d/b": b"b\n"})
    mounts.mounts.create("data")
    mounts.mounts.close_store()
    url = f"s3://{mounts.name}/in"
    script = "cat /bucket/a /ro/d/b | tee /vol/both > /bucket/out; touch /ro/x; echo $?"
    said = mounts.volfs(
        *("run", "--volume", "data:/vol", "--bucket", f"{url}:/bucket"),
        *("--bucket", f"{url}?endpoint={mounts.server.endpoint}:/ro:ro"),
        *("--", "sh", "-c", script),
    )
    assert said == "1\n"
    assert mounts.bucket.get("in/out")[1] == b"a\nb\n"
    assert mounts.volfs("ls", "data").split() == ["both"]
    assert not [mount for mount in list_volfs_mounts() if mounts.name in mount.source]


@pytest.mark.parametrize(
    ("bucket", "text"),
    [
        ("s3://bucket/prefix", "use s3://BUCKET/PREFIX:/PATH"),
        ("s3://bucket:/", "cannot be mounted into root directory"),
        ("s3://bucket?x=y:/data", "not known"),
        ("s3://no-such-bucket-here:/data", "no such bucket"),
    ],
)
def test_what_cannot_be_mounted_is_said_in_a_line(
    mounts: BucketMounts, bucket: str, text: str
) -> None:
    said = mounts.volfs("run", "--bucket", bucket, "--", "true", check=False)
    assert len(said.splitlines()) == 1
    assert said.startswith("volfs: run: ")
    assert text in said
