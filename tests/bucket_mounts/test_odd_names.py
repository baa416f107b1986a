"""Names that look odd and are allowed, names that are not, and addresses without a slash."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import unicodedata
from pathlib import Path

import pytest

from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.bucket_servers import gcs, gcs_bucket
from tests.harness.calls import fails
from tests.harness.gcs_fake import GcsFake
from tests.harness.mounted import Mounted
from volfs.buckets.access import Bucket, iter_objects
from volfs.daemon.mount_options import BucketPlan

__all__ = ["gcs", "gcs_bucket"]
pytestmark = pytest.mark.fuse
ODD = (
    *(
        "a%41%2F+b?c=d&e#f",
        " both ends ",
        "...",
        "-rf",
        "<&amp;>\"'`$(x)*~:;@=|,^{}[]!",
        "a.",
        "\x7f",
    ),
    *(
        "e\u0301",
        "\u00e9",
        "\N{GRINNING FACE}" * 63,
        "a" * 255,
        "\u202e\u2028\ufeff\uffff\U0010ffff",
    ),
)
"""Names with all that URLs, headers, XML and shells care for, and Unicode in two forms."""
BACKSLASH = "back\\slash"


def check_names(path: Path, bucket: Bucket, names: tuple[str, ...]) -> None:
    """Each name goes through the kernel into a key and back, as a file and as a directory."""
    for name in names:
        (path / name).write_bytes(name.encode())
        assert bucket.get(name)[1] == name.encode(), name
    (path / "dir").mkdir()
    for name in names:
        bucket.put(f"dir/{name}/below", name.encode())
    assert sorted(os.listdir(path)) == sorted((*names, "dir"))
    assert sorted(os.listdir(path / "dir")) == sorted(names)
    for name in names:
        assert (path / "dir" / name / "below").read_bytes() == name.encode(), name
    first, second = names[0], names[1]
    (path / first).rename(path / f"{second}2")  # the service copies: the key is in a header
    for name in names[1:]:
        (path / name).rename(path / "dir" / name / "moved")
        assert bucket.get(f"dir/{name}/moved")[1] == name.encode(), name
        (path / "dir" / name / "moved").unlink()
    subprocess.run(["rm", "-r", "--", path / "dir", path / f"{second}2"], check=True)
    assert list(iter_objects(bucket)) == []


def test_odd_names_of_s3(any_keys: BucketMounts) -> None:
    path = any_keys.mount().path
    check_names(path, any_keys.bucket, (*ODD, BACKSLASH))
    for name, number in (
        (b"\xff", errno.EINVAL),
        (b"\xed\xa0\x80", errno.EINVAL),  # half a pair of UTF-16
        (b"n" * 256, errno.ENAMETOOLONG),
    ):
        with fails(number):
            os.open(os.fsencode(path) + b"/" + name, os.O_CREAT | os.O_WRONLY)
    composed = unicodedata.normalize("NFC", "e\u0301")
    assert composed == "\u00e9"
    (path / composed).touch()
    assert not (path / "e\u0301").exists()  # names are bytes, as everywhere on Linux


def test_odd_names_of_google(gcs: GcsFake, gcs_bucket: Bucket, mounts: BucketMounts) -> None:
    """Google by a service account, through a mount: names, big files, and what it refuses."""
    mounted = mount_google(mounts, gcs, gcs_bucket)
    path = mounted.path
    check_names(path, gcs_bucket, (*ODD[:9], BACKSLASH))
    for name in ("two\nlines", "return\r"):
        with fails(errno.EINVAL):
            os.open(path / name, os.O_CREAT | os.O_WRONLY)
    big = os.urandom(17 << 20)
    (path / "big").write_bytes(big)
    assert bytes(gcs_bucket.get("big")[1]) == big
    with (path / "big").open("r+b") as file:
        file.seek(9 << 20)
        file.write(b"changed")
    changed = big[: 9 << 20] + b"changed" + big[(9 << 20) + 7 :]
    assert (path / "big").read_bytes() == changed == bytes(gcs_bucket.get("big")[1])
    with fails(errno.EEXIST):
        os.open(path / "big", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    (path / "d/e").mkdir(parents=True)
    (path / "d/e/f").write_bytes(b"f")
    (path / "d").rename(path / "g")
    assert sorted(info.key for info in iter_objects(gcs_bucket)) == ["big", "g/", "g/e/", "g/e/f"]
    assert gcs_bucket.list_leftovers() == []


def mount_google(mounts: BucketMounts, gcs: GcsFake, bucket: Bucket) -> Mounted:
    secret = {"GOOGLE_APPLICATION_CREDENTIALS_JSON": gcs.make_account()}
    address = f"{bucket.door.describe()}/?endpoint={gcs.endpoint}"
    plan = BucketPlan(address, secret=secret, environ={}, metadata_ttl=0.0)
    return mounts.mount(plan=plan)


def test_a_prefix_without_its_slash(any_keys: BucketMounts) -> None:
    """It is a folder, and never the beginning of a name; what is hidden in it is counted."""
    mounts = any_keys
    mounts.fill({"in/a": b"a", "input/b": b"b", "in": b"file", "in/x//y": b"", "in/../z": b""})
    mounts.fill({"in/both": b"", "in/both/c": b"", "in/" + "n" * 256: b"", "in/.": b""})
    place = mounts.mounts.place()
    mounts.volfs("bucket", "mount", f"s3://{mounts.name}/in", place)
    try:
        assert sorted(os.listdir(place)) == ["a", "both", "x"]
        assert os.listdir(place / "x") == []
        assert not (place / "put").exists()
        (place / "new").write_bytes(b"n")
        (one,) = json.loads(mounts.volfs("bucket", "status", "--json", place))
        assert one["hidden_keys"] == 5
    finally:
        mounts.volfs("bucket", "umount", place)
    assert mounts.bucket.get("in/new")[1] == b"n"
    said = mounts.volfs("bucket", "mount", f"s3://{mounts.name}/in/a", place, check=False)
    assert "an object, and no folder" in said
    assert f"{place}: no bucket is mounted there" in mounts.volfs(
        "bucket", "umount", place, check=False
    )
    assert "no such directory" in mounts.volfs("bucket", "status", f"{place}x", check=False)
