"""The data path of an open store in a bucket, wired together."""

from __future__ import annotations

from pathlib import Path

from volfs.buckets.access import Bucket
from volfs.buckets.cache.cached_bucket import open_cached_bucket
from volfs.buckets.cache.cached_packs import CachedPacks
from volfs.buckets.cache.disk_cache import DiskCache
from volfs.store.distributed.data.bucket_objects import BucketObjects, FindManifest, find_none
from volfs.store.distributed.data.bucket_packs import BucketPacks, OpenPacks
from volfs.store.distributed.data.bucket_sink import BucketSink
from volfs.store.distributed.data.bucket_upload import BucketUpload
from volfs.store.distributed.data.place_finder import PlaceFinder, VolumePlaces
from volfs.store.distributed.data.place_rows import PlaceRows
from volfs.store.distributed.data.segment_making import SegmentMaker
from volfs.store.distributed.data.volume_packs import VolumeLog

SPOOLS = "spool"


class BucketData:
    """Objects and uploads of one store. Thread-safe.

    ``directory`` is this machine's cache of the store. It may be deleted at any time.
    """

    def __init__(self, bucket: Bucket, directory: Path, open_packs: OpenPacks) -> None:
        self._rows = PlaceRows(directory / "index")
        self._spools = directory / SPOOLS
        self.packs = BucketPacks(bucket, open_packs, self._rows)
        self.finder = PlaceFinder(self.packs)
        self.segments = SegmentMaker(self.finder, self._spools)

    def objects_of(self, log: VolumeLog, find_manifest: FindManifest = find_none) -> BucketObjects:
        return BucketObjects(VolumePlaces(self.finder, log), self.packs, find_manifest)

    def open_upload(self, volume_id: str, log: VolumeLog, objects: BucketObjects) -> BucketUpload:
        return BucketUpload(volume_id, log, objects, self.finder, self._spools)

    def forget_places(self) -> None:
        """Drop all rows of places that this machine knows."""
        self._rows.drop()

    def open_sink(self) -> BucketSink:
        """Packs for whoever names them itself."""
        return BucketSink(self.packs, self._spools)

    def close(self) -> None:
        self.packs.close()
        self._rows.close()


def open_cached_packs(bucket: Bucket, disk: DiskCache | None = None) -> OpenPacks:
    """Packs that are read through memory and the disk cache that all processes of this user
    share."""
    cached = open_cached_bucket(bucket, disk)
    return lambda find: CachedPacks(cached, find)
