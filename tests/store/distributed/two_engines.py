"""A whole store in a bucket, as one machine sees it."""

from __future__ import annotations

from pathlib import Path

from volfs.buckets.access import Bucket
from volfs.buckets.cache.disk_cache import DiskCache
from volfs.errors import DataError
from volfs.store.contract.objects import Objects, Upload
from volfs.store.distributed.data.bucket_data import open_cached_packs
from volfs.store.distributed.opened import BucketEngine
from volfs.store.distributed.refs.volume_view import to_named

MIB = 1 << 20


class BucketMachine:
    """``Store`` over a bucket that the test has. ``directory`` is what the machine has of it."""

    url = "a bucket"
    is_writable = True
    unreachable_since_ns: int | None = None

    def __init__(self, bucket: Bucket, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "holds").touch()
        packs = open_cached_packs(bucket, DiskCache(directory / "disk", 256 * MIB))
        self.local = directory
        self.engine = BucketEngine(bucket, directory, packs)
        self.refs = self.engine.refs
        self.leases = self.engine.leases
        self.care = self.engine.care

    def check_writable(self) -> None:
        pass

    def objects_of(self, volume_id: str) -> Objects:
        return self.engine.volumes.open(volume_id).objects

    def open_upload(self, volume_id: str) -> Upload:
        return self.engine.volumes.open_upload(volume_id)

    def list_unreadable(self) -> list[str]:
        """Every object of every volume that cannot be read."""
        found = []
        for record in self.refs.list_volumes():
            packs = self.refs.logs.get(record.id).packs.packs.values()
            for row in packs:
                for placed in self.engine.volumes.data.finder.load_footer(to_named(row.pack)):
                    try:
                        self.objects_of(record.id).load_object(placed.oid)
                    except DataError as error:
                        found.append(f"{row.pack.name}: {error}")
        return found

    def close(self) -> None:
        self.engine.close_parts()
