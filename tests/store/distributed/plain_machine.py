"""A whole store in a bucket, as a machine without a disk cache sees it."""

from __future__ import annotations

from pathlib import Path

from tests.sim.plain_packs import open_plain_packs
from volfs.buckets.access import Bucket
from volfs.store.contract.objects import Objects, Upload
from volfs.store.distributed.opened import BucketEngine


class PlainMachine:
    """``Store``. ``directory`` is what the machine has of it."""

    url = "a bucket"
    is_writable = True

    def __init__(self, bucket: Bucket, directory: Path) -> None:
        (directory / "holds").touch()
        self.local = directory
        self.engine = BucketEngine(bucket, directory, open_plain_packs(bucket))
        self.refs = self.engine.refs
        self.leases = self.engine.leases
        self.care = self.engine.care

    def check_writable(self) -> None:
        """Nothing forbids it."""

    def objects_of(self, volume_id: str) -> Objects:
        return self.engine.volumes.open(volume_id).objects

    def open_upload(self, volume_id: str) -> Upload:
        return self.engine.volumes.open_upload(volume_id)

    def close(self) -> None:
        self.engine.close_parts()
