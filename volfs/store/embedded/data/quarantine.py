"""Packs that gc has put aside, and the objects that were in them. Rows: docs/format.md.

Each method takes part in a transaction of its caller.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from typing import NamedTuple

from volfs.errors import DamagedObjectError
from volfs.model.objects import Oid
from volfs.model.pack import PackKind
from volfs.store.checked_lmdb.environment import LmdbEnvironment, Table, Transaction
from volfs.store.elapsed import Wait, decode_wait
from volfs.store.packs.rows import (
    IndexEntry,
    PackRow,
    decode_entry,
    decode_pack,
    encode_entry,
    encode_pack,
    pack_key,
    unpack_key,
)

_ROW = struct.Struct("<BQqB")


class Fate(enum.IntEnum):
    """What will become of a pack in quarantine."""

    WAITING = 0
    """The pack waits, and ``gc --undelete`` brings it back."""
    DOOMED = 1
    """The pack's file is being removed, and nothing brings it back."""
    DAMAGED = 2
    """A repair copied what could be read of the pack. It waits, and nothing brings it back."""


class QuarantinedPack(NamedTuple):
    pack: int
    kind: PackKind
    durable: int
    since_ns: int
    fate: Fate = Fate.WAITING
    wait: Wait | None = None
    """How long the pack has waited. Absent if it was put aside without a steady clock."""

    @property
    def row(self) -> PackRow:
        return PackRow(self.pack, self.kind, self.durable)


class Quarantine:
    """The tables ``quarantine``, ``condemned`` and ``lost``."""

    def __init__(self, environment: LmdbEnvironment, objects: Table, packs: Table) -> None:
        self._objects = objects
        self._packs = packs
        self._quarantine: Table = environment.open_table(b"quarantine")
        self._condemned: Table = environment.open_table(b"condemned")
        self._lost: Table = environment.open_table(b"lost")

    # --- packs -----------------------------------------------------------

    def list_packs(self, txn: Transaction) -> list[QuarantinedPack]:
        return [_decode(unpack_key(key), row) for key, row in txn.list_all(self._quarantine)]

    def list_ids(self, txn: Transaction) -> list[int]:
        """The ids of all packs in quarantine, also of those whose rows are damaged."""
        with txn.cursor(self._quarantine) as cursor:
            return [unpack_key(key) for key in cursor.iter_keys()]

    def find_pack(self, txn: Transaction, pack: int) -> QuarantinedPack | None:
        row = txn.get(pack_key(pack), db=self._quarantine)
        return None if row is None else _decode(pack, row)

    def put_aside(
        self,
        txn: Transaction,
        pack: int,
        now_ns: int,
        fate: Fate = Fate.WAITING,
        wait: Wait | None = None,
    ) -> None:
        key = pack_key(pack)
        row = decode_pack(pack, txn.get(key, db=self._packs) or b"")
        txn.delete(key, db=self._packs)
        self._put(txn, QuarantinedPack(*row, since_ns=now_ns, fate=fate, wait=wait))

    def note_time(self, txn: Transaction, seen: QuarantinedPack, now: QuarantinedPack) -> None:
        """Write down times, if the pack's row is still as it was seen."""
        if self.find_pack(txn, seen.pack) == seen:
            self._put(txn, now)

    def bring_back(self, txn: Transaction, quarantined: QuarantinedPack) -> None:
        txn.delete(pack_key(quarantined.pack), db=self._quarantine)
        txn.put(pack_key(quarantined.pack), encode_pack(quarantined.row), db=self._packs)

    def doom(self, txn: Transaction, pack: int) -> bool:
        """Doom a pack. False if somebody has brought it back."""
        quarantined = self.find_pack(txn, pack)
        if quarantined is not None:
            self._put(txn, quarantined._replace(fate=Fate.DOOMED))
        return quarantined is not None

    def forget_pack(self, txn: Transaction, pack: int) -> None:
        txn.delete(pack_key(pack), db=self._quarantine)

    def mend(self, txn: Transaction) -> int:
        """Remove or renew damaged rows. How many there were.

        A repair then finds the packs of removed rows as it finds any pack without a row. A lost
        object stays lost, because the key of its row says everything. A condemned object is
        garbage, unless its pack comes back: then the next repair finds the object in the pack, and
        indexes it.
        """
        lost = txn.list_damaged(self._lost)
        for key in lost:
            txn.put(key, b"", db=self._lost)
        count = len(lost)
        for table in (self._quarantine, self._condemned):
            for key in txn.list_damaged(table):
                count += txn.delete(key, db=table)
        return count

    def _put(self, txn: Transaction, quarantined: QuarantinedPack) -> None:
        pack, *fields, wait = quarantined
        row = _ROW.pack(*fields) + (wait.encode() if wait else b"")
        txn.put(pack_key(pack), row, db=self._quarantine)

    # --- objects ---------------------------------------------------------

    def condemn(self, txn: Transaction, oid: Oid, entry: bytes) -> None:
        """Move an object's entry out of the index, if it is still ``entry``."""
        if txn.get(oid, db=self._objects) == entry:
            txn.delete(oid, db=self._objects)
            txn.put(oid, entry, db=self._condemned)

    def find_entry(self, txn: Transaction, oid: Oid) -> IndexEntry | None:
        """The place of a condemned object. None if its pack is gone, or about to go."""
        row = txn.get(oid, db=self._condemned)
        if row is None:
            return None
        entry = decode_entry(oid, row)
        quarantined = self.find_pack(txn, entry.pack)
        if quarantined is None:
            is_there = txn.get(pack_key(entry.pack), db=self._packs) is not None
        else:
            is_there = quarantined.fate != Fate.DOOMED
        return entry if is_there else None

    def save(self, txn: Transaction, oid: Oid) -> bool:
        """Take an object that is not in the index back into it, if its pack is still there."""
        entry = self.find_entry(txn, oid)
        if entry is None:
            return False
        quarantined = self.find_pack(txn, entry.pack)
        if quarantined is not None:
            if quarantined.fate == Fate.DAMAGED:
                return False
            self.bring_back(txn, quarantined)
        return self.restore(txn, oid, entry)

    def restore(self, txn: Transaction, oid: Oid, entry: IndexEntry) -> bool:
        """Index a condemned object again. False if the index already had it."""
        txn.delete(oid, db=self._condemned)
        return bool(txn.put(oid, encode_entry(entry), overwrite=False, db=self._objects))

    def forget(self, txn: Transaction, oid: Oid, entry: bytes) -> None:
        if txn.get(oid, db=self._condemned) == entry:
            txn.delete(oid, db=self._condemned)

    def read_condemned(self, txn: Transaction, start: bytes, count: int) -> list[tuple[Oid, bytes]]:
        with txn.cursor(self._condemned) as cursor:
            if not cursor.set_range(start):
                return []
            return [(Oid(key), row) for _, (key, row) in zip(range(count), cursor, strict=False)]

    # --- what is lost ----------------------------------------------------

    def is_lost(self, txn: Transaction, oid: Oid) -> bool:
        return txn.get(oid, db=self._lost) is not None

    def note_lost(self, txn: Transaction, oid: Oid) -> None:
        txn.put(oid, b"", db=self._lost)


def iter_condemned(
    environment: LmdbEnvironment, quarantine: Quarantine, batch: int
) -> Iterator[list[tuple[Oid, bytes]]]:
    """Yield every condemned row, in short transactions."""
    start = b"\0"
    while True:
        with environment.read() as txn:
            rows = quarantine.read_condemned(txn, start, batch)
        if not rows:
            return
        yield rows
        start = rows[-1][0] + b"\0"


def _decode(pack: int, row: bytes) -> QuarantinedPack:
    try:
        kind, durable, since_ns, fate = _ROW.unpack(row[: _ROW.size])
        wait = decode_wait(row[_ROW.size :]) if len(row) > _ROW.size else None
        return QuarantinedPack(pack, PackKind(kind), durable, since_ns, Fate(fate), wait)
    except (struct.error, ValueError) as error:
        raise DamagedObjectError(f"quarantine row of pack {pack}: {error}") from error
