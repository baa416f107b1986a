"""Mounts of containers of Azure."""

from __future__ import annotations

import errno
import os

import pytest

from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.bucket_servers import azure_bucket, azurite
from tests.harness.calls import fails
from tests.harness.servers import AzuriteServer
from volfs.buckets.access import Bucket
from volfs.daemon.buckets import leftovers
from volfs.daemon.mount_options import BucketPlan

__all__ = ["azure_bucket", "azurite"]
pytestmark = pytest.mark.fuse


def test_a_backslash_is_no_slash(
    azurite: AzuriteServer, azure_bucket: Bucket, mounts: BucketMounts
) -> None:
    """Azure would write, read and delete ``back/slash`` under the name ``back\\slash``."""
    container = azure_bucket.door.describe()
    secret = {"AZURE_STORAGE_ACCOUNT_KEY": azurite.key}
    plan = BucketPlan(f"{container}/?endpoint={azurite.endpoint}", secret=secret, environ={})
    path = mounts.mount(plan=plan).path
    (path / "back").mkdir()
    (path / "back/slash").write_bytes(b"kept")
    for bad in ("back\\slash", "a\nline", "bell\a"):  # as they are made, not as they are closed
        with fails(errno.EINVAL):
            os.open(path / bad, os.O_CREAT | os.O_WRONLY)
        with fails(errno.EINVAL):
            os.mkdir(path / bad)
        with fails(errno.ENOENT):
            os.stat(path / bad)
    with fails(errno.ENOENT):
        os.unlink(path / "back\\slash")
    with fails(errno.EINVAL):
        os.rename(path / "back/slash", path / "to\\here")
    assert azure_bucket.get("back/slash")[1] == b"kept"
    (path / "back/slash").rename(path / "moved")
    assert azure_bucket.get("moved")[1] == b"kept"
    assert not azure_bucket.find_flaw("d/" * 253 + "f")
    assert "254 names" in azure_bucket.find_flaw("d/" * 254 + "f")
    assert leftovers.list_left() == []
