"""Objects on their way in: packs of the upload's own, and what to tell the index."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self

from volfs.errors import DamagedObjectError, StoreError
from volfs.errors.fault_points import reached
from volfs.model.objects import Buffer, Kind, Oid, compute_oid
from volfs.model.pack import PackKind, pack_kind
from volfs.store.embedded.data.index import Batch, Index
from volfs.store.embedded.data.pack_files import PackReader, refuse_pack
from volfs.store.embedded.data.pack_writer import PACK_TARGET, PackWriter, WriterPool
from volfs.store.packs.codec import Packed, pack_object
from volfs.store.packs.reader import ObjectReader
from volfs.store.packs.rows import IndexEntry, place_record

_PACKS_PER_SIZE = 64


class PackUpload:
    """``store.contract.objects.Upload``. Threads hash and compress in parallel and append in turn.

    It holds the lock of every pack it has written until it is published or
    left, so nobody cuts or collects them. What was put and not published is given
    back to the disk when it is left.
    """

    def __init__(
        self, index: Index, objects: ObjectReader, packs: PackReader, pool: WriterPool
    ) -> None:
        self.new_objects = 0
        self.new_bytes = 0
        self._index = index
        self._objects = objects
        self._packs = packs
        self._pool = pool
        self._lock = threading.Lock()
        self._new: dict[Oid, IndexEntry] = {}
        self._replaced: set[Oid] = set()
        self._known: set[Oid] = set()
        self._writers: dict[PackKind, PackWriter] = {}
        self._full: list[PackWriter] = []
        self._left = False

    def put_object(self, kind: Kind, data: Buffer) -> Oid:
        oid = compute_oid(kind, data)
        if not self._has(oid):
            self._append(pack_object(kind, oid, data))
        return oid

    def load_object(self, oid: Oid) -> bytes:
        entry = self._new.get(oid)
        if entry is None:
            return self._objects.load_object(oid)
        return self._objects.load_unpublished(oid, entry)

    def belongs_to(self, pool: WriterPool) -> bool:
        return self._pool is pool

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._left = True
            self._release()

    @contextmanager
    def made_durable(self) -> Iterator[Batch]:
        """Everything put so far, durable, to be indexed in the block.

        If the block ends well the upload begins anew; if it raises, nothing of
        the upload is lost and it may be published again.
        """
        with self._lock:
            self._check_open()
            writers = self._list_writers()
            for writer in writers:
                writer.sync()
            if any(writer.is_new for writer in writers):
                self._pool.sync_directory()
            reached("publish.durable")
            ends = [(writer.pack, writer.end) for writer in writers]
            yield Batch(self._new, self._replaced, self._known, ends)
            reached("publish.moved")
            for writer in writers:
                writer.settle()
            self._release()

    def prove(self, relied: Mapping[int, int]) -> None:
        """StoreReplacedError unless the packs written to are in the store, as files that we
        know, and those of ``relied``, which are as long as they have to be."""
        self._pool.prove(self._list_writers())
        # All of them, so that the next attempt knows each.
        replaced = [pack for pack, end in relied.items() if not self._packs.is_in_place(pack, end)]
        if replaced:
            raise refuse_pack(replaced[0])

    # --- inside ----------------------------------------------------------

    def _list_writers(self) -> list[PackWriter]:
        return [*self._full, *self._writers.values()]

    def _has(self, oid: Oid) -> bool:
        """Whether the object need not be written; relies on it from now on if so."""
        if oid in self._new:
            return True
        is_indexed = self._index.contains(oid)
        is_whole = is_indexed and self._is_whole(oid)
        with self._lock:
            if is_whole:
                self._known.add(oid)
            else:
                self._known.discard(oid)
            if is_indexed and not is_whole:
                # It cannot be read any more: putting the object again repairs it.
                self._replaced.add(oid)
            return is_whole

    def _is_whole(self, oid: Oid) -> bool:
        try:
            entry = self._index.find_entry(oid)
        except DamagedObjectError:
            return False
        return entry is not None and self._objects.is_whole(oid, entry)

    def _append(self, packed: Packed) -> None:
        header = packed.header
        with self._lock:
            self._check_open()
            if header.oid in self._new:
                return  # Another thread was quicker.
            writer = self._writer_for(pack_kind(header.kind))
            offset = self._pool.append(writer, packed)
            reached("publish.appended")
            self._new[header.oid] = place_record(header, writer.pack, offset)
            self.new_objects += 1
            self.new_bytes += header.stored

    def _writer_for(self, kind: PackKind) -> PackWriter:
        writer = self._writers.get(kind)
        if writer is not None and writer.end >= self._target():
            self._full.append(self._writers.pop(kind))
            writer = None
        if writer is None:
            writer = self._writers[kind] = self._pool.take(kind)
        return writer

    def _target(self) -> int:
        """Twice the size for each 64 packs held: a terabyte then needs 500 descriptors."""
        return PACK_TARGET << (len(self._full) // _PACKS_PER_SIZE)

    def _check_open(self) -> None:
        if self._left:
            raise StoreError("this upload has ended; open another")

    def _release(self) -> None:
        for writer in self._list_writers():
            self._pool.give_back(writer)
        self._full.clear()
        self._writers.clear()
        self._new, self._replaced, self._known = {}, set(), set()
