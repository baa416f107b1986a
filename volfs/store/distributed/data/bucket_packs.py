"""Packs of a store in a bucket, by number: ``PackSource``.

A pack is read from its spool while it has one, then from the caches, then from the bucket. Lines
with records and index segments are read in the same way: each is an immutable object.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol, TypeVar

from volfs.buckets.access import Bucket
from volfs.buckets.objects import ObjectInfo
from volfs.errors import (
    DamagedObjectError,
    MissingObjectError,
    ObjectNotFoundError,
    StoreUnavailableError,
)
from volfs.model.objects import Buffer
from volfs.model.segments.packs_named import NamedPack
from volfs.store.distributed.data.pack_numbers import PackNumber, PackNumbers
from volfs.store.distributed.data.place_rows import PlaceRows
from volfs.store.distributed.data.spool import Spool
from volfs.store.distributed.data.volume_packs import find_key
from volfs.store.distributed.place.object_keys import make_random_name
from volfs.store.packs.source import PackSource

T = TypeVar("T")
BELIEVED = 7 * 24 * 3600
"""Seconds for which a pack that was seen in the bucket is believed to be there."""


class StoredPacks(PackSource, Protocol):
    """Packs in the bucket, read through what caches there are."""

    def fetch_anew(self, pack: int, offset: int, length: int) -> None:
        """Fetch these bytes once more, past every cache, because what was cached is wrong."""

    def keep(self, pack: int, data: Buffer) -> object:
        """Keep all bytes of a pack that was put just now, so that nobody needs to fetch them."""

    def close(self) -> None: ...


OpenPacks = Callable[[Callable[[int], ObjectInfo | None]], StoredPacks]
"""Opens the packs of a bucket, given what finds the object that a pack is."""


class BucketPacks:
    """The packs of one store. Thread-safe."""

    def __init__(self, bucket: Bucket, open_packs: OpenPacks, rows: PlaceRows) -> None:
        self.numbers = PackNumbers()
        self.rows = rows
        self.bucket = bucket
        self._packs = open_packs(self._find)
        self._spools: dict[int, Spool] = {}
        self._seen: set[int] = set()

    # --- PackSource ------------------------------------------------------

    def read_at(self, pack: int, offset: int, length: int) -> bytes:
        data = self._read_spool(pack, offset, length)
        if data is not None:
            return data
        try:
            return self._packs.read_at(pack, offset, length)
        except MissingObjectError:
            self.note_gone(pack)
            raise
        except StoreUnavailableError as error:
            self._check_length(pack, error)
            raise

    def read_ready(self, pack: int, offset: int, length: int) -> Buffer | None:
        data = self._read_spool(pack, offset, length)
        return self._packs.read_ready(pack, offset, length) if data is None else data

    def prefetch(self, pack: int, offset: int, length: int) -> None:
        if pack not in self._spools:
            self._packs.prefetch(pack, offset, length)

    def expect_scattered(self, pack: int) -> None:
        if pack not in self._spools:
            self._packs.expect_scattered(pack)

    def get_size(self, pack: int) -> int:
        return self.numbers.get_pack(pack).length

    def forget(self, pack: int) -> None:
        self._packs.forget(pack)

    # --- parts that are verified -----------------------------------------

    def read_verified(self, pack: int, offset: int, length: int, decode: Callable[[bytes], T]) -> T:
        """What these bytes mean. If they are damaged, they are fetched once more, past every
        cache. DamagedObjectError if they still are."""
        try:
            return decode(self.read_at(pack, offset, length))
        except DamagedObjectError:
            self.fetch_anew(pack, offset, length)
        return decode(self.read_at(pack, offset, length))

    def fetch_anew(self, pack: int, offset: int, length: int) -> None:
        """Fetch bytes of a pack once more, past every cache."""
        if pack in self._spools:
            return
        try:
            self._packs.fetch_anew(pack, offset, length)
        except StoreUnavailableError as error:
            self._check_length(pack, error)
            raise
        except ObjectNotFoundError as error:
            self.note_gone(pack)
            raise MissingObjectError(f"pack {pack}: {error}") from error

    def _check_length(self, pack: int, error: StoreUnavailableError) -> None:
        """DamagedObjectError if reading fails because the bucket's object is not as long as the
        pack. MissingObjectError if it is a line without its records: gc has taken them away."""
        wanted = self.numbers.get_pack(pack)
        try:
            size = self.bucket.head(find_key(wanted.name)).size
        except (ObjectNotFoundError, StoreUnavailableError):
            return
        if wanted.is_line and size < wanted.length:
            self.note_gone(pack)
            raise MissingObjectError(f"pack {pack}: the records of the line are gone") from error
        if size != wanted.length:
            raise DamagedObjectError(
                f"pack {pack}: it has {size} bytes instead of {wanted.length}"
            ) from error

    # --- what is there ---------------------------------------------------

    def is_there(self, pack: int) -> bool:
        """Whether the bucket has a pack, as far as is known. One that was not seen for a week is
        asked for."""
        if self.numbers.is_gone(pack):
            return False
        if pack in self._seen or pack in self._spools:
            return True
        named = self.numbers.get_pack(pack)
        if self.rows.find_pack(named).seen + BELIEVED > self.read_clock():
            self._seen.add(pack)
            return True
        return self._look(pack, named)

    def _look(self, pack: int, named: NamedPack) -> bool:
        try:
            found = self.bucket.head(find_key(named.name))
        except ObjectNotFoundError:
            self.note_gone(pack)
            return False
        if found.size == named.length:
            self.note_seen(pack)
        return found.size == named.length

    def note_seen(self, pack: int) -> None:
        self._seen.add(pack)
        self.rows.note_seen(self.numbers.get_pack(pack), self.read_clock())

    def read_clock(self) -> int:
        """Seconds since 1970."""
        return self.bucket.world.wall_ns() // 1_000_000_000

    def make_name(self) -> str:
        """A name that no pack has."""
        return make_random_name(self.bucket.world.random_bytes)

    def note_gone(self, pack: int) -> None:
        """Forget a pack that the bucket does not have any more, and where it had objects."""
        self._seen.discard(pack)
        self.numbers.note_gone(pack)
        self._packs.forget(pack)
        named = self.numbers.find_pack(pack)
        if named is not None:
            self.rows.forget_pack(named)

    def forget_named(self, names: Collection[str]) -> None:
        """Forget packs that were deleted just now, and lines whose records were taken away."""
        for number in self.numbers.list_named(names):
            self.note_gone(number)

    # --- spools ----------------------------------------------------------

    def add_spool(self, spool: Spool) -> None:
        """Read a pack from its spool from now on."""
        self._spools[spool.number] = spool

    def drop_spool(self, number: PackNumber) -> None:
        """Close a spool. The pack is read from the cache, or from the bucket, from now on."""
        spool = self._spools.pop(number, None)
        if spool is not None:
            spool.close()

    def put(self, pack: NamedPack, data: memoryview) -> None:
        """Put a pack, and keep it in the disk cache, so that nothing is read back. StoreError."""
        self.bucket.put(find_key(pack.name), data)
        self.keep(pack, data)

    def keep(self, pack: NamedPack, data: Buffer) -> None:
        """Keep the bytes of a pack, or of a line, that is in the bucket."""
        number = self.numbers.get_number(pack)
        self._seen.add(number)
        self._packs.keep(number, data)

    def _read_spool(self, pack: int, offset: int, length: int) -> bytes | None:
        spool = self._spools.get(pack)
        data = spool.read_at(offset, length) if spool is not None else None
        if data is not None and len(data) != length:
            raise DamagedObjectError(f"pack {pack}: its spool ends before {offset + length}")
        return data

    def _find(self, pack: int) -> ObjectInfo | None:
        named = self.numbers.find_pack(pack)
        if named is None or self.numbers.is_gone(pack):
            return None
        return ObjectInfo(find_key(named.name), named.length, 0, "")

    def close(self) -> None:
        for number in list(self._spools):
            self.drop_spool(PackNumber(number))
        self._packs.close()
