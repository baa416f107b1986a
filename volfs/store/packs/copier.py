"""Copies records into packs of its own, verified: for gc, and for a repair."""

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
    """Its index entry when it was copied."""
    entry: IndexEntry
    """Where the copy is."""


class Copier:
    """A context manager; what is not settled when it is left was never copied."""

    def __init__(self, index: LocalIndex, source: PackSource, sink: PackSink) -> None:
        self._index = index
        self._source = source
        self._sink = sink
        self.copied = 0
        """Bytes since it was settled, headers included."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sink.release()

    def copy(self, oid: Oid, row: bytes) -> Moved:
        """DataError if what is stored there is not the object. Its header is made anew.

        What a former volfs stored in one piece is stored in blocks then.
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
        """Let the index know how far the packs are durable."""
        for pack, end in self._sink.list_ends():
            self._index.extend(txn, pack, end)
        self._sink.prove({})

    def settle(self) -> None:
        """The transaction has ended well."""
        self.copied = 0
        self._sink.settle()
