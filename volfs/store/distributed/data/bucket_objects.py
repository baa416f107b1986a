"""Objects by id in a bucket: ``ObjectReader`` over places that may have to be looked for, and
packs that may be damaged or gone."""

from __future__ import annotations

from collections.abc import Callable

from volfs.errors import DamagedObjectError, DataError, VolfsError
from volfs.model.objects import Buffer, Oid
from volfs.model.pack import RECORD_HEADER_SIZE
from volfs.model.ranges import FIRST_WINDOW
from volfs.store.distributed.data.bucket_packs import BucketPacks
from volfs.store.distributed.data.place_finder import VolumePlaces
from volfs.store.packs.reader import ObjectReader
from volfs.store.packs.rows import IndexEntry

FindManifest = Callable[[Oid], bytes | None]
"""A manifest that came with something else that was read. None for every other object."""


def find_none(oid: Oid) -> bytes | None:
    """No manifest is at hand."""
    return None


class BucketObjects(ObjectReader):
    """``store.contract.objects.Objects`` of one volume. Thread-safe.

    Damaged bytes are fetched once more, past every cache. If the bucket does not have a pack, the
    log is read to its end, and the object looked for again.
    """

    def __init__(
        self, places: VolumePlaces, packs: BucketPacks, find_manifest: FindManifest = find_none
    ) -> None:
        super().__init__(places, packs, FIRST_WINDOW)
        self._find_manifest = find_manifest
        self._found = places
        self._bucket_packs = packs

    def read_object_ready(self, oid: Oid, offset: int, length: int) -> Buffer | None:
        if not self._is_known(oid):
            return None
        try:
            return super().read_object_ready(oid, offset, length)
        except DataError:
            entry = self._found.find_ready(oid)
            if entry is not None and 0 <= offset <= offset + length <= entry.raw:
                return None  # A read that may wait looks again, and says what is wrong.
            raise

    def load_object(self, oid: Oid) -> bytes:
        return self._find_manifest(oid) or super().load_object(oid)

    def load_object_ready(self, oid: Oid) -> bytes | None:
        found = self._find_manifest(oid)
        if found or not self._is_known(oid):
            return found
        try:
            return super().load_object_ready(oid)
        except DataError:
            return None

    def prefetch(self, oid: Oid) -> None:
        if self._is_known(oid):
            super().prefetch(oid)

    def is_there(self, oid: Oid) -> bool:
        return self._found.is_there(oid)

    def is_whole(self, oid: Oid, entry: IndexEntry) -> bool:
        """Whether the bucket has the object's pack. Its bytes are not fetched for this."""
        try:
            return self._bucket_packs.is_there(entry.pack)
        except VolfsError:
            return False  # It is put again.

    def _demand(self, oid: Oid, offset: int, length: int | None) -> Buffer:
        try:
            return super()._demand(oid, offset, length)
        except DamagedObjectError:
            if not self._fetch_anew(oid):
                raise
        try:
            return super()._demand(oid, offset, length)
        except DamagedObjectError:
            if not self._forget_replaced(oid):
                raise
        return super()._demand(oid, offset, length)

    def _fetch_anew(self, oid: Oid) -> bool:
        """Fetch the object's record past every cache. Whether there is one."""
        entry = self._found.find_entry(oid)
        if entry is None:
            return False
        self.forget_pack(entry.pack)
        start = entry.offset - RECORD_HEADER_SIZE
        self._bucket_packs.fetch_anew(entry.pack, start, RECORD_HEADER_SIZE + entry.stored)
        return True

    def _forget_replaced(self, oid: Oid) -> bool:
        """Forget the pack of an object, if a repair has put another one in its place."""
        entry = self._found.find_entry(oid)
        if entry is None or self._found.is_named(entry.pack):
            return False
        self._bucket_packs.note_gone(entry.pack)
        self.forget_pack(entry.pack)
        return True

    def _is_known(self, oid: Oid) -> bool:
        """Whether the object's place is known without a look elsewhere."""
        place = self._places.find(oid)
        if place is not None and not self._bucket_packs.numbers.is_gone(place.entry.pack):
            return True
        return self._found.find_ready(oid) is not None
