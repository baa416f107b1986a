"""Verified copies of records in new packs, for gc and for repair."""

from __future__ import annotations

from typing import NamedTuple, Self

from volfs.model.objects import Oid
from volfs.model.pack import RECORD_HEADER_SIZE
from volfs.store.checked_lmdb.environment import Transaction
from volfs.store.packs.codec import Packed, is_former_form, pack_object
from volfs.store.packs.entries import open_entry
from volfs.store.packs.local_index import LocalIndex
from volfs.store.packs.rows import IndexEntry, decode_entry
from volfs.store.packs.sink import PackSink
from volfs.store.packs.source import PackSource


class Moved(NamedTuple):
    oid: Oid
    row: bytes
    """The index entry of the object when it was copied, undecoded."""
    entry: IndexEntry
    """The place of the copy."""


class RecordCopier:
    """Copies objects into the packs of a sink. A context manager: what is not settled when it is
    left was never copied."""

    def __init__(self, source: PackSource, sink: PackSink) -> None:
        self._source = source
        self._sink = sink
        self.copied = 0
        """Stored bytes since the last ``settle``, with their headers."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sink.release()

    def copy_record(self, oid: Oid, entry: IndexEntry) -> IndexEntry:
        """Copy an object, with a new header, and return the place of the copy. DataError if
        another object is stored at the place.

        A chunk that a former volfs stored in one piece is stored in blocks in the copy.
        """
        opened = open_entry(self._source, oid, entry)
        packed = Packed(entry.header(oid), (opened.stored,))
        if is_former_form(packed.header):
            packed = pack_object(entry.kind, oid, opened.data)
        copy = self._sink.append(packed)
        self.copied += RECORD_HEADER_SIZE + entry.stored
        return copy

    def sync(self) -> None:
        """Make the copies durable. StoreError."""
        self._sink.sync()

    def settle(self) -> None:
        """Confirm that the copies are known where objects are looked for."""
        self.copied = 0
        self._sink.settle()


class Copier(RecordCopier):
    """Copies objects whose places are rows of an index."""

    def __init__(self, index: LocalIndex, source: PackSource, sink: PackSink) -> None:
        super().__init__(source, sink)
        self._index = index

    def copy(self, oid: Oid, row: bytes) -> Moved:
        """As ``copy_record``."""
        return Moved(oid, row, self.copy_record(oid, decode_entry(oid, row)))

    def extend(self, txn: Transaction) -> None:
        """Tell the index how far the packs are durable."""
        for pack, end in self._sink.list_ends():
            self._index.extend(txn, pack, end)
        self._sink.prove({})
