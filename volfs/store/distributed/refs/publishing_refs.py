"""The distributed engine's ``Refs``, whole: with ``publish``, and with what leases keep."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from volfs.buckets.access import Bucket
from volfs.errors import MissingObjectError
from volfs.store.contract.lease import Lease
from volfs.store.contract.objects import Upload
from volfs.store.contract.refs import Head
from volfs.store.distributed.checkpoints.plain_logs import CatalogFollower
from volfs.store.distributed.data.bucket_upload import BucketUpload
from volfs.store.distributed.refs.bucket_refs import BucketRefs
from volfs.store.distributed.refs.open_volumes import OpenVolumes
from volfs.store.distributed.refs.volume_logs import VolumeLogs, require
from volfs.store.distributed.refs.volume_publisher import HeadToPublish, check_head


class LeasesForRefs(Protocol):
    """What refs ask of leases."""

    def list_all(self) -> list[Lease]:
        """The leases that are in force."""

    def list_held(self, volume_id: str) -> list[int]:
        """The versions that are known to be held."""

    def put_before(self, lease: Lease, new: Head) -> int:
        """Make sure that a lease is in force once ``new`` is a version. Return the line of the
        volume's log up to which it has everything. NotFoundError."""


class PublishingRefs(BucketRefs):
    """``store.contract.refs.Refs``. Thread-safe."""

    def __init__(
        self,
        bucket: Bucket,
        logs: VolumeLogs,
        volumes: OpenVolumes,
        leases: LeasesForRefs,
        catalog: CatalogFollower | None = None,
    ) -> None:
        super().__init__(bucket, leases.list_all, logs, catalog)
        self._volumes = volumes
        self._leases = leases

    def list_held(self, volume_id: str) -> Collection[int]:
        return self._leases.list_held(volume_id)

    def publish(
        self,
        upload: Upload,
        volume_id: str,
        expected: Head,
        new: Head,
        *,
        shares: Collection[int] = (),
        lease: Lease | None = None,
    ) -> None:
        if new.version <= expected.version:
            raise ValueError(f"version {new.version} cannot follow {expected.version}")
        finder = self._volumes.data.finder
        if not isinstance(upload, BucketUpload) or not upload.is_for(volume_id, finder):
            raise ValueError("an upload of another volume")
        volume = self._volumes.open(volume_id)
        publication = HeadToPublish(expected, new, tuple(shares), lease)
        check_head(require(volume_id, volume.book.follower.known.state), publication)
        if not upload.rely_on(new.manifest):
            raise MissingObjectError(f"manifest {new.manifest.hex()}: nobody has put it")
        if lease is not None:
            upto = self._leases.put_before(lease, new)
            publication = publication._replace(upto=upto)
        volume.publisher.publish(upload, publication)
