"""A store in a bucket of which only the refs are real: objects ride in lines, whatever their size.

It stands in for uploads and leases, which have rules of their own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from volfs.buckets.access import Bucket
from volfs.errors import HeadMovedError, MissingObjectError
from volfs.model.logs.line import list_records
from volfs.model.logs.volume_changes import VersionPublished, carry
from volfs.model.logs.volume_log import VolumeState
from volfs.model.objects import Buffer, Kind, Oid, compute_oid
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import Head
from volfs.store.distributed.refs.bucket_refs import BucketRefs
from volfs.store.distributed.refs.line_records import encode_records
from volfs.store.packs.codec import unpack_object


class LineUpload:
    """Objects that a line will have."""

    def __init__(self) -> None:
        self.objects: dict[Oid, tuple[Kind, Buffer]] = {}

    def put_object(self, kind: Kind, data: Buffer) -> Oid:
        oid = compute_oid(kind, data)
        self.objects[oid] = (kind, data)
        return oid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.objects.clear()


class LineObjects:
    """The objects in the lines that a volume knows, its own and those of its source."""

    def __init__(self, bucket: Bucket, refs: BucketRefs, volume: str) -> None:
        self._bucket = bucket
        self._refs = refs
        self._volume = volume

    def load_all(self) -> dict[Oid, bytes]:
        found = {}
        state = self._refs.logs.find(self._volume)
        for name in state.packs.packs if state else ():
            volume, _, number = name.partition("/")
            line = self._refs.logs.open(volume).log.find_line(int(number, 16))
            assert line is not None
            for record in list_records(line):
                found[record.header.oid] = bytes(unpack_object(record.header, record.stored))
        return found

    def contains(self, oid: Oid) -> bool:
        return oid in self.load_all()

    def load_object(self, oid: Oid) -> bytes:
        try:
            return self.load_all()[oid]
        except KeyError:
            raise MissingObjectError(oid.hex()) from None


class PublishingRefs(BucketRefs):
    """With ``publish``, as far as the suites of refs need it."""

    def publish(
        self,
        upload: LineUpload,
        volume_id: str,
        expected: Head,
        new: Head,
        *,
        shares: Collection[int] = (),
    ) -> None:
        if new.version <= expected.version:
            raise ValueError(f"version {new.version} cannot follow {expected.version}")
        records = encode_records(upload.objects.values())
        bare = VersionPublished(new.version, new.manifest, expected.version, shares=tuple(shares))
        change = carry(bare, len(upload.objects), len(records))
        follower = self.logs.open(volume_id)
        known = follower.refresh()
        _check_head(known.state, expected)
        if follower.propose(known, [change], records) is None:
            raise HeadMovedError("another line was first")


def _check_head(state: VolumeState | None, expected: Head) -> None:
    head = state.versions.find(state.versions.head) if state else None
    if head is None or head.manifest != expected.manifest:
        raise HeadMovedError("another head")


class HeldByTests:
    """Leases that a test has put."""

    def __init__(self) -> None:
        self.leases: list[Lease] = []

    def put(self, lease: Lease) -> None:
        self.leases.append(lease)

    def list_all(self) -> list[Lease]:
        return self.leases


class LineStore:
    """One process's handle on a store in a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.leases = HeldByTests()
        self.refs = PublishingRefs(bucket, self.leases.list_all)

    def open_upload(self, volume: str) -> LineUpload:
        return LineUpload()

    def objects_of(self, volume: str) -> LineObjects:
        return LineObjects(self.bucket, self.refs, volume)

    def close(self) -> None:
        """The bucket belongs to the test."""
