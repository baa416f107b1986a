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


class Copier:
    """Copies objects into the packs of a sink. A context manager: what is not settled when it is
    left was never copied."""

    def __init__(self, index: LocalIndex, source: PackSource, sink: PackSink) -> None:
        self._index = index
        self._source = source
        self._sink = sink
        self.copied = 0
        """Stored bytes since the last ``settle``, with their headers."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sink.release()

    def copy(self, oid: Oid, row: bytes) -> Moved:
        """Copy an object, with a new header. DataError if another object is stored at the place.

        A chunk that a former volfs stored in one piece is stored in blocks in the copy.
        """
        entry = decode_entry(oid, row)
        opened = open_entry(self._source, oid, entry)
        packed = Packed(entry.header(oid), (opened.stored,))
        if is_former_form(packed.header):
            packed = pack_object(entry.kind, oid, opened.data)
        copy = self._sink.append(packed)
        self.copied += RECORD_HEADER_SIZE + entry.stored
        return Moved(oid, row, copy)

    def sync(self) -> None:
        self._sink.sync()

    def extend(self, txn: Transaction) -> None:
        """Tell the index how far the packs are durable."""
        for pack, end in self._sink.list_ends():
            self._index.extend(txn, pack, end)
        self._sink.prove({})

    def settle(self) -> None:
        """Confirm that the transaction which indexes the copies has ended well."""
        self.copied = 0
        self._sink.settle()
