"""Packs of a store in a bucket, read through memory and the disk cache.

It has the interface of ``store.packs.source.PackSource``. A pack never changes, and no two packs
have the same name, so no request needs an ETag.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from volfs.buckets.cache.cached_bucket import CachedBucket, CachedObject
from volfs.buckets.objects import ObjectInfo
from volfs.errors import DamagedObjectError, MissingObjectError, ObjectNotFoundError
from volfs.model.objects import Buffer

OPEN_PACKS = 256


class CachedPacks:
    """The packs of one store. Thread-safe. ``find`` returns the object that a pack is, or None if
    there is no such pack."""

    def __init__(self, bucket: CachedBucket, find: Callable[[int], ObjectInfo | None]) -> None:
        self._bucket = bucket
        self._find = find
        self._open: OrderedDict[int, CachedObject] = OrderedDict()
        self._lock = threading.Lock()

    def read_at(self, pack: int, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. MissingObjectError if there is no such pack;
        DamagedObjectError if it is too short."""
        file = self._get_open(pack)
        self._check_end(pack, file, offset, length)
        try:
            return bytes(file.read_at(offset, length))
        except ObjectNotFoundError as error:
            self.forget(pack)
            raise MissingObjectError(f"pack {pack}: {error}") from error

    def read_ready(self, pack: int, offset: int, length: int) -> Buffer | None:
        """As ``read_at``, but None if the read would wait."""
        file = self._get_open(pack)
        self._check_end(pack, file, offset, length)
        return file.read_ready(offset, length)

    def prefetch(self, pack: int, offset: int, length: int) -> None:
        """Begin to fetch these bytes, so that ``read_at`` need not wait. Returns at once."""
        self._get_open(pack).prefetch(offset, length)

    def expect_scattered(self, pack: int) -> None:
        """Expect scattered reads of a pack: nothing is to be read ahead."""
        self._get_open(pack).expect_scattered()

    def fetch_anew(self, pack: int, offset: int, length: int) -> None:
        """Fetch these bytes once more, past every cache, because what was cached is wrong."""
        self._get_open(pack).fetch_anew(offset, length)

    def keep(self, pack: int, data: Buffer) -> bool:
        """Keep all bytes of a pack that was put just now, so that nobody needs to fetch them.
        Whether they are kept. Waits for the disk."""
        info = self._find(pack)
        return info is not None and self._bucket.write(info, data)

    def get_size(self, pack: int) -> int:
        """The length of a pack in bytes. MissingObjectError if there is no such pack."""
        return self._get_open(pack).size

    def forget(self, pack: int) -> None:
        """Let go of a pack that no longer exists."""
        with self._lock:
            file = self._open.pop(pack, None)
        if file is not None:
            file.close()

    def close(self) -> None:
        """Let go of all packs, and of the bucket."""
        for pack in list(self._open):
            self.forget(pack)
        self._bucket.close()

    def _get_open(self, pack: int) -> CachedObject:
        with self._lock:
            file = self._open.get(pack)
            if file is not None:
                self._open.move_to_end(pack)
                return file
        info = self._find(pack)
        if info is None:
            raise MissingObjectError(f"pack {pack} is not in the store")
        file = self._bucket.open(info, is_immutable=True)
        with self._lock:
            former = self._open.get(pack)
            self._open[pack] = file
            idle = self._open.popitem(last=False)[1] if len(self._open) > OPEN_PACKS else None
        for unused in (former, idle):
            if unused is not None:
                unused.close()
        return file

    def _check_end(self, pack: int, file: CachedObject, offset: int, length: int) -> None:
        if offset + length > file.size:
            raise DamagedObjectError(
                f"pack {pack} ends within the {length} bytes at {offset}: it was cut short"
            )
