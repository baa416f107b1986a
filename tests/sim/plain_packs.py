"""Packs that are read from the bucket each time: no cache, and no threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from volfs.buckets.access import Bucket
from volfs.buckets.objects import ObjectInfo
from volfs.errors import MissingObjectError, ObjectNotFoundError, StoreUnavailableError
from volfs.model.objects import Buffer
from volfs.store.distributed.data.bucket_packs import OpenPacks
from volfs.store.distributed.opened import BucketEngine


class PlainPacks:
    """``StoredPacks``."""

    def __init__(self, bucket: Bucket, find: Callable[[int], ObjectInfo | None]) -> None:
        self._bucket = bucket
        self._find = find

    def read_at(self, pack: int, offset: int, length: int) -> bytes:
        info = self._find(pack)
        if info is None:
            raise MissingObjectError(f"pack {pack} is not known")
        try:
            data = bytes(self._bucket.get_range(info.key, offset, length))
        except ObjectNotFoundError:
            raise MissingObjectError(f"pack {pack}: {info.key} is gone") from None
        if len(data) != length:
            # As of a service that ends too early: whoever knows the pack looks at its length.
            raise StoreUnavailableError(f"pack {pack}: too short")
        return data

    def read_ready(self, pack: int, offset: int, length: int) -> Buffer | None:
        return None

    def prefetch(self, pack: int, offset: int, length: int) -> None:
        """Do nothing: nothing is read in advance."""

    def expect_scattered(self, pack: int) -> None:
        """Do nothing: nothing is read in advance."""

    def get_size(self, pack: int) -> int:
        info = self._find(pack)
        assert info is not None
        return info.size

    def forget(self, pack: int) -> None:
        """Do nothing: nothing is kept."""

    def fetch_anew(self, pack: int, offset: int, length: int) -> None:
        """Do nothing: nothing is kept."""

    def keep(self, pack: int, data: Buffer) -> None:
        """Do nothing: nothing is kept."""

    def close(self) -> None:
        """Do nothing: nothing is held open."""


def open_plain_packs(bucket: Bucket) -> OpenPacks:
    return lambda find: PlainPacks(bucket, find)


def open_plain_engine(bucket: Bucket, directory: Path) -> BucketEngine:
    """The whole engine of one machine, which has this directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "holds").touch()
    return BucketEngine(bucket, directory, open_plain_packs(bucket))
