"""Uploads: new objects are packed, and what the index must learn is gathered."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, Self

from volfs.errors import DamagedObjectError, StoreError
from volfs.errors.fault_points import reached
from volfs.model.objects import Buffer, Kind, Oid, compute_oid
from volfs.store.checked_lmdb.environment import RESERVE
from volfs.store.packs.codec import Packed, pack_object
from volfs.store.packs.reader import ObjectReader
from volfs.store.packs.rows import IndexEntry
from volfs.store.packs.sink import PackSink
from volfs.store.packs.source import Places

_PAGE = 4096
_PAGES_RESERVED = 1 << 16


class Batch(NamedTuple):
    """All that publishing one upload changes in the index."""

    entries: Mapping[Oid, IndexEntry]
    replaced: Collection[Oid]
    """The ids in ``entries`` whose indexed records were found unreadable."""
    known: Collection[Oid]
    """Objects that the upload relies on and did not write."""
    packs: Iterable[tuple[int, int]]
    """Pack ids, each with its new durable length."""

    @property
    def reserve(self) -> int:
        """Bytes that the transaction may need. Ids are random, so each may dirty a page of its
        own."""
        return RESERVE + _PAGE * min(len(self.entries), _PAGES_RESERVED)


class PackUpload:
    """``store.contract.objects.Upload``. Threads hash and compress in parallel, and append in
    turn.

    Objects that were put and not published are given up when the upload is left.
    """

    def __init__(self, places: Places, objects: ObjectReader, sink: PackSink) -> None:
        self.new_objects = 0
        self.new_bytes = 0
        self._places = places
        self._objects = objects
        self._sink = sink
        self._lock = threading.Lock()
        self._new: dict[Oid, IndexEntry] = {}
        self._replaced: set[Oid] = set()
        self._known: set[Oid] = set()
        self._left = False

    def put_object(self, kind: Kind, data: Buffer) -> Oid:
        oid = compute_oid(kind, data)
        if not self.rely_on(oid):
            self._append(pack_object(kind, oid, data))
        return oid

    def rely_on(self, oid: Oid) -> bool:
        if oid in self._new:
            return True
        is_indexed = self._places.contains(oid)
        if not is_indexed and oid not in self._known:
            return False  # Without the lock, which a thread that appends holds while it writes.
        is_whole = is_indexed and self._is_whole(oid)
        with self._lock:
            if is_whole:
                self._known.add(oid)
            else:
                self._known.discard(oid)
            if is_indexed and not is_whole:
                # The stored object cannot be read any more. Putting it again repairs it.
                self._replaced.add(oid)
            return is_whole

    def load_object(self, oid: Oid) -> bytes:
        entry = self._new.get(oid)
        if entry is None:
            return self._objects.load_object(oid)
        return self._objects.load_unpublished(oid, entry)

    def belongs_to(self, places: Places) -> bool:
        return self._places is places

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._left = True
            self._release()

    @contextmanager
    def made_durable(self) -> Iterator[Batch]:
        """Make everything that was put durable, and yield it, to be indexed in the block.

        If the block ends well, the upload begins anew. If the block raises, nothing of the upload
        is lost, and it may be published again.
        """
        with self._lock:
            self._check_open()
            self._sink.sync()
            reached("publish.durable")
            ends = self._sink.list_ends()
            yield Batch(self._new, self._replaced, self._known, ends)
            reached("publish.moved")
            self._sink.settle()
            self._release()

    def prove(self, relied: Mapping[int, int]) -> None:
        """Raise StoreReplacedError unless the packs that were written to are in the store, as the
        files that this process wrote, and the packs of ``relied`` are there and long enough."""
        self._sink.prove(relied)

    # --- inside ----------------------------------------------------------

    def _is_whole(self, oid: Oid) -> bool:
        try:
            entry = self._places.find_entry(oid)
        except DamagedObjectError:
            return False
        return entry is not None and self._objects.is_whole(oid, entry)

    def _append(self, packed: Packed) -> None:
        header = packed.header
        with self._lock:
            self._check_open()
            if header.oid in self._new:
                return  # Another thread was quicker.
            entry = self._sink.append(packed)
            reached("publish.appended")
            self._new[header.oid] = entry
            self.new_objects += 1
            self.new_bytes += header.stored

    def _check_open(self) -> None:
        if self._left:
            raise StoreError("this upload has ended; open another")

    def _release(self) -> None:
        self._sink.release()
        self._new, self._replaced, self._known = {}, set(), set()
