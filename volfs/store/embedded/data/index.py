"""The index of the embedded engine, which also allocates pack ids and publishes batches.

Rows: docs/format.md, "The index".
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from volfs.errors import DamagedObjectError, MissingObjectError
from volfs.model.objects import Oid
from volfs.model.pack import PackKind
from volfs.store.checked_lmdb.environment import RESERVE, LmdbEnvironment, Table, Transaction
from volfs.store.embedded.data.quarantine import Quarantine
from volfs.store.packs.local_index import LocalIndex
from volfs.store.packs.rows import (
    IndexEntry,
    PackRow,
    decode_entry,
    encode_entry,
)
from volfs.store.packs.upload import Batch

_NEXT = b"next-pack"
_SAVES = b"saves"
_REFS_LOST = b"refs-lost"
_COUNTER = struct.Struct("<I")
_IDENTITY, _IDENTITY_ROW = b"identity", struct.Struct("<16sI")


class Index(LocalIndex):
    """A ``LocalIndex`` with quarantine, counters and publishing."""

    def __init__(self, environment: LmdbEnvironment) -> None:
        super().__init__(environment)
        self._counters: Table = environment.open_table(b"counters")
        self.quarantine = Quarantine(environment, self._objects, self._packs)

    # --- objects ---------------------------------------------------------

    def find_entry(self, oid: Oid) -> IndexEntry | None:
        """The place of an object. A condemned object is found, too, by readers that began before
        gc."""
        row = self.environment.find_row(oid, self._objects)
        if row is None:
            # Looked up once more, because both tables are to be seen at the same moment.
            with self.environment.read() as txn:
                row = txn.get(oid, db=self._objects)
                if row is None:
                    return self.quarantine.find_entry(txn, oid)
        return decode_entry(oid, row)

    def is_lost(self, oid: Oid) -> bool:
        with self.environment.read() as txn:
            return self.quarantine.is_lost(txn, oid)

    # --- packs -----------------------------------------------------------

    def allocate_pack(
        self, kind: PackKind, is_taken: Callable[[int], bool], reserve: int = RESERVE
    ) -> int:
        """A new pack id, never used before, with a row that says that the pack is empty.

        ``is_taken`` tells whether an id has a file: then the index has forgotten that id.
        """
        with self.environment.write(reserve, is_noted=False) as txn:
            pack = self._count(txn, _NEXT) or 1
            while is_taken(pack):
                pack += 1
            txn.put(_NEXT, _COUNTER.pack(pack + 1), db=self._counters)
            self.put_pack(txn, PackRow(pack, kind, 0))
        return pack

    def has_allocated(self) -> bool:
        """Whether a pack id was ever allocated. If not, the index is new, or was lost."""
        with self.environment.read() as txn:
            try:
                return self._count(txn, _NEXT) > 0
            except DamagedObjectError:
                return True

    # --- which index it is -----------------------------------------------

    def get_identity(self) -> tuple[bytes, int]:
        """The id that a store and its copies have in common, and how often the index was made
        anew.

        A store without an id gets one.
        """
        with self.environment.read() as txn:
            row = self._find_identity(txn)
        if row is None:
            with self.environment.write(reserve=0, is_noted=False) as txn:
                row = self._find_identity(txn) or (os.urandom(16), 0)
                txn.put(_IDENTITY, _IDENTITY_ROW.pack(*row), db=self._counters)
        return row

    def begin_epoch(self) -> None:
        """Begin a new epoch for an index that is made anew, whose transactions count from the
        beginning."""
        with self.environment.write(is_noted=False) as txn:
            row = self._find_identity(txn)
            if row is not None:
                row = row[0], row[1] + 1
                txn.put(_IDENTITY, _IDENTITY_ROW.pack(*row), db=self._counters)

    def _find_identity(self, txn: Transaction) -> tuple[bytes, int] | None:
        try:
            row = txn.get(_IDENTITY, db=self._counters)
        except DamagedObjectError:
            return None
        if row is None or len(row) != _IDENTITY_ROW.size:
            return None
        identity, epoch = _IDENTITY_ROW.unpack(row)
        return identity, epoch

    # --- packs, changed --------------------------------------------------

    def adopt_pack(self, txn: Transaction, row: PackRow) -> None:
        """Add the row of a pack that was found. Its id is not allocated again."""
        self.put_pack(txn, row)
        self.use_id(txn, row.pack)

    def use_id(self, txn: Transaction, pack: int) -> None:
        """Never allocate this pack id, nor a smaller one."""
        if pack >= self._count(txn, _NEXT):
            txn.put(_NEXT, _COUNTER.pack(pack + 1), db=self._counters)

    def has_lost_refs(self) -> bool:
        """Whether this index replaces one that could not be read, and its refs are not recovered
        yet."""
        with self.environment.read() as txn:
            return self._count(txn, _REFS_LOST) > 0

    def set_lost_refs(self, lost: bool) -> None:
        with self.environment.write() as txn:
            txn.put(_REFS_LOST, _COUNTER.pack(lost), db=self._counters)

    def count_saves(self, txn: Transaction) -> int:
        """How often publishing brought back an object that gc had condemned."""
        return self._count(txn, _SAVES)

    def list_readable_counters(self) -> list[tuple[bytes, bytes]]:
        """The rows of counters that are not damaged."""
        with self.environment.read() as txn:
            return list(self._iter_counters(txn))

    def put_counters(self, rows: list[tuple[bytes, bytes]]) -> None:
        with self.environment.write() as txn:
            for key, row in rows:
                txn.put(key, row, db=self._counters)

    def mend_counters(self, txn: Transaction) -> int:
        """Make damaged counters again from the packs that are known. How many were damaged."""
        with txn.cursor(self._counters) as cursor:
            keys = set(cursor.iter_keys())
        damaged = keys - {key for key, _ in self._iter_counters(txn)}
        for key in damaged:
            txn.delete(key, db=self._counters)
        if damaged:
            for pack in (*self.list_pack_ids(txn), *self.quarantine.list_ids(txn)):
                self.use_id(txn, pack)
        return len(damaged)

    def _iter_counters(self, txn: Transaction) -> Iterator[tuple[bytes, bytes]]:
        with txn.cursor(self._counters) as cursor:
            keys = list(cursor.iter_keys())
        for key in keys:
            with suppress(DamagedObjectError):
                row = txn.get(key, db=self._counters)
                if row is not None:
                    yield key, row

    def _count(self, txn: Transaction, counter: bytes) -> int:
        row = txn.get(counter, db=self._counters)
        return 0 if row is None else int(_COUNTER.unpack(row)[0])

    # --- publishing ------------------------------------------------------

    def put_batch(self, txn: Transaction, batch: Batch, manifest: Oid) -> dict[int, int]:
        """Index a batch. ``manifest`` must be in the batch or in the store.

        Returns the packs of the objects that the batch relies on, each with the end of the last
        such object in it. MissingObjectError if one of these objects is gone.
        """
        for oid, entry in batch.entries.items():
            # If another upload was faster, its entry stays, because its readers know the object
            # there.
            row = encode_entry(entry)
            txn.put(oid, row, overwrite=oid in batch.replaced, db=self._objects)
        relied = self._check_present(txn, (*batch.known, manifest))
        for pack, durable in batch.packs:
            self.extend(txn, pack, durable)
        return relied

    def _check_present(self, txn: Transaction, oids: Iterable[Oid]) -> dict[int, int]:
        """The packs of these objects, each with the end of the last of them."""
        packs: dict[int, int] = {}
        for oid in oids:
            row = txn.get(oid, db=self._objects)
            if row is None and self._save(txn, oid):
                row = txn.get(oid, db=self._objects)
            if row is None:
                raise MissingObjectError(
                    f"object {oid.hex()} was removed from the store while this change was "
                    "being written; nothing was published: try again"
                )
            entry = decode_entry(oid, row)
            packs[entry.pack] = max(packs.get(entry.pack, 0), entry.offset + entry.stored)
        return packs

    def _save(self, txn: Transaction, oid: Oid) -> bool:
        saved = self.quarantine.save(txn, oid)
        if saved:
            count = (self.count_saves(txn) + 1) & 0xFFFF_FFFF
            txn.put(_SAVES, _COUNTER.pack(count), db=self._counters)
        return saved
