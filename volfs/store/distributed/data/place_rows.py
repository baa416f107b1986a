"""What this machine knows of the places of objects: rows in LMDB, shared by all its processes.

They are never the truth. Whatever is wrong with them, they are dropped, and made again from footers
as those are read. A failure here is no failure of a read: an error means that nothing is known.
Layout: docs/format.md, "Places that a machine knows".
"""

from __future__ import annotations

import logging
import os
import shutil
import struct
import threading
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from volfs.errors import DamagedObjectError, StoreError
from volfs.model.objects import Oid
from volfs.model.segments.footer import PlacedRecord
from volfs.model.segments.packs_named import NamedPack, encode_packs, iter_packs
from volfs.store.checked_lmdb.environment import LmdbEnvironment, Transaction
from volfs.store.packs.rows import IndexEntry, decode_entry, encode_entry, place_record

T = TypeVar("T")
log = logging.getLogger(__name__)

LIMIT = 2 << 30
"""The most bytes of the file. A larger one is dropped, and begins anew."""
PLACES_EACH = 4
"""The most places of one object that are remembered."""
AT_ONCE = 1 << 12
"""Rows that one transaction puts."""
_ROW = 32
_NUMBER = struct.Struct(">I")
_PACK = struct.Struct("<BQ")
_LAST = b"last-number"


class KnownPack(NamedTuple):
    """What is known of a pack beside its name."""

    is_whole: bool = False
    """Whether the places of all its records are in the rows."""
    seen: int = 0
    """When it was last known to be in the bucket: seconds since 1970."""


class PlaceRows:
    """Places of objects. Thread-safe. It raises nothing."""

    def __init__(self, directory: Path, limit: int = LIMIT) -> None:
        self._directory = directory
        self._limit = limit
        self._lock = threading.Lock()
        self._tables: _PlaceTables | None = None
        self._is_unusable = False
        self._process = os.getpid()

    def find(self, oid: Oid) -> list[tuple[NamedPack, IndexEntry]]:
        """The known places of an object, the latest first. The numbers in the entries mean
        nothing."""
        return self._run(lambda tables: tables.find(oid), [])

    def put(self, pack: NamedPack, records: Iterable[PlacedRecord], seen: int) -> bool:
        """Remember the places of all records of a pack. Whether they are."""
        return self._run(lambda tables: tables.put_pack(pack, records, seen), False)

    def find_pack(self, pack: NamedPack) -> KnownPack:
        return self._run(lambda tables: tables.find_pack(pack), KnownPack())

    def note_seen(self, pack: NamedPack, seen: int) -> None:
        """Note that a pack was in the bucket at this time."""
        self._run(lambda tables: tables.note_seen(pack, seen), None)

    def forget_pack(self, pack: NamedPack) -> None:
        """Forget a pack that the bucket does not have, with its places."""
        self._run(lambda tables: tables.forget_pack(pack), None)

    def drop(self) -> None:
        """Forget everything, and begin anew. Other processes begin anew when they open it."""
        with self._lock:
            self._drop(self._tables)

    def close(self) -> None:
        with self._lock:
            if self._tables is not None:
                self._tables.environment.close()
            self._tables, self._is_unusable = None, True

    # --- inside ----------------------------------------------------------

    def _run(self, act: Callable[[_PlaceTables], T], otherwise: T) -> T:
        """Do something with the tables. A damaged file is dropped, and the next one tried."""
        for _ in range(2):
            tables = self._open()
            if tables is None:
                break
            try:
                return act(tables)
            except DamagedObjectError as error:
                log.info("places that this machine knows: dropped: %s", error)
                with self._lock:
                    self._drop(tables)
            except StoreError as error:
                log.debug("places that this machine knows: %s", error)
                break
        return otherwise

    def _open(self) -> _PlaceTables | None:
        with self._lock:
            if self._is_unusable or os.getpid() != self._process:
                return None
            size = self._tables.find_size() if self._tables is not None else None
            if size is None:
                self._tables = None  # Somebody has removed the file, or made it anew.
            elif size > self._limit:
                self._drop(self._tables)
            if self._tables is None:
                self._tables = self._open_anew()
                self._is_unusable = self._tables is None
            return self._tables

    def _open_anew(self) -> _PlaceTables | None:
        for _ in range(2):
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                found = _PlaceTables(self._directory)
                if (found.find_size() or 0) <= self._limit:
                    return found
                found.environment.close()
            except DamagedObjectError as error:
                log.info("places that this machine knows: dropped: %s", error)
            except (StoreError, OSError) as error:
                log.info("places that this machine knows: not used: %s", error)
                return None
            _remove(self._directory)
        return None

    def _drop(self, tables: _PlaceTables | None) -> None:
        """Remove the file, unless somebody has done that. Threads that are in it end there."""
        if tables is self._tables:
            self._tables = None
            _remove(self._directory)


def _remove(directory: Path) -> None:
    """Remove a directory that others may have open. They go on with what they have open."""
    spare = directory.with_name(f"{directory.name}.dropped-{os.urandom(8).hex()}")
    try:
        directory.rename(spare)
    except FileNotFoundError:
        return
    except OSError:
        spare = directory
    shutil.rmtree(spare, ignore_errors=True)


class _PlaceTables:
    """The tables of one file."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "data.mdb"
        self.environment = LmdbEnvironment(directory, durable=False)
        self._inode = self._file.stat().st_ino
        self._objects = self.environment.open_table(b"objects")
        self._packs = self.environment.open_table(b"packs")
        self._names = self.environment.open_table(b"names")
        self._known: dict[int, NamedPack] = {}
        """Packs by their numbers in the file. A number is never used again."""

    def find_size(self) -> int | None:
        """The length of the file. None if it is no longer in its place."""
        try:
            state = self._file.stat()
        except OSError:
            return None
        return state.st_size if state.st_ino == self._inode else None

    def find(self, oid: Oid) -> list[tuple[NamedPack, IndexEntry]]:
        with self.environment.read() as txn:
            row = txn.get(oid, db=self._objects)
            entries = _decode(oid, row) if row is not None else []
            found = ((self._find_named(txn, entry.pack), entry) for entry in entries)
            return [(pack, entry) for pack, entry in found if pack is not None]

    def find_pack(self, pack: NamedPack) -> KnownPack:
        with self.environment.read() as txn:
            number = txn.get(_name(pack), db=self._names)
            row = None if number is None else txn.get(number, db=self._packs)
            return KnownPack() if row is None else _decode_known(row)

    def put_pack(self, pack: NamedPack, records: Iterable[PlacedRecord], seen: int) -> bool:
        rows = iter(records)
        while batch := list(islice(rows, AT_ONCE)):
            with self.environment.write(is_noted=False) as txn:
                number = self._find_number(txn, pack)
                for record in batch:
                    self._put_place(txn, record, number)
        with self.environment.write(is_noted=False) as txn:
            self._put_known(txn, self._find_number(txn, pack), pack, KnownPack(True, seen))
        return True

    def note_seen(self, pack: NamedPack, seen: int) -> None:
        with self.environment.write(is_noted=False) as txn:
            number = self._find_number(txn, pack)
            row = txn.get(_NUMBER.pack(number), db=self._packs)
            known = KnownPack() if row is None else _decode_known(row)
            self._put_known(txn, number, pack, known._replace(seen=seen))

    def forget_pack(self, pack: NamedPack) -> None:
        """The rows of its objects lead nowhere from now on."""
        with self.environment.write(is_noted=False) as txn:
            number = txn.get(_name(pack), db=self._names)
            if number is not None:
                txn.delete(number, db=self._packs)
                txn.delete(_name(pack), db=self._names)
                self._known.pop(_NUMBER.unpack(number)[0], None)

    def _put_place(self, txn: Transaction, record: PlacedRecord, number: int) -> None:
        entry = place_record(record.header, number, record.offset)
        former = txn.get(record.oid, db=self._objects)
        known = [] if former is None else _decode(record.oid, former)
        others = [each for each in known if each.pack != number]
        entries = [entry, *others][:PLACES_EACH]
        txn.put(record.oid, b"".join(map(encode_entry, entries)), db=self._objects)

    def _find_named(self, txn: Transaction, number: int) -> NamedPack | None:
        """The pack of a number. None if it was forgotten, maybe by another process."""
        row = txn.get(_NUMBER.pack(number), db=self._packs)
        if row is None:
            return None
        known = self._known.get(number)
        if known is None:
            (known,) = iter_packs(row[_PACK.size :], 1)
            self._known[number] = known
        return known

    def _find_number(self, txn: Transaction, pack: NamedPack) -> int:
        """The number of a pack, which it gets if it has none."""
        found = txn.get(_name(pack), db=self._names)
        if found is not None:
            return int(_NUMBER.unpack(found)[0])
        last = txn.get(_LAST, db=self._names)
        number = 1 if last is None else int(_NUMBER.unpack(last)[0]) + 1
        txn.put(_LAST, _NUMBER.pack(number), db=self._names)
        txn.put(_name(pack), _NUMBER.pack(number), db=self._names)
        self._put_known(txn, number, pack, KnownPack())
        return number

    def _put_known(self, txn: Transaction, number: int, pack: NamedPack, known: KnownPack) -> None:
        row = _PACK.pack(known.is_whole, known.seen) + encode_packs([pack])
        txn.put(_NUMBER.pack(number), row, db=self._packs)


def _name(pack: NamedPack) -> bytes:
    """The key of a pack. A line that became slim has another length, and is another pack."""
    return pack.name.encode("ascii") + pack.length.to_bytes(8, "big")


def _decode(oid: Oid, row: bytes) -> list[IndexEntry]:
    return [decode_entry(oid, row[at : at + _ROW]) for at in range(0, len(row), _ROW)]


def _decode_known(row: bytes) -> KnownPack:
    is_whole, seen = _PACK.unpack_from(row)
    return KnownPack(bool(is_whole), seen)
