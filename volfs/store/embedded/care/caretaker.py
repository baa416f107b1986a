"""What gc and repair have in common: one at a time, packs that are held, packs that are copied."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from volfs.errors import ConflictError, DataError
from volfs.model.objects import Buffer, Oid
from volfs.model.pack import (
    PACK_HEADER_SIZE,
    PACK_VERSION,
    RECORD_HEADER_SIZE,
    PackKind,
    decode_pack_header,
    pack_kind,
)
from volfs.store.checked_lmdb.environment import LmdbEnvironment, Transaction, store_errors
from volfs.store.embedded.data.index import Index
from volfs.store.embedded.data.pack_files import PackReader, pack_path
from volfs.store.embedded.data.pack_writer import PACK_TARGET, PackWriter, WriterPool
from volfs.store.embedded.refs.holds import Holds
from volfs.store.embedded.refs.leases import Leases
from volfs.store.embedded.refs.name_log import NameLog
from volfs.store.embedded.refs.refs import Refs
from volfs.store.embedded.refs.tags import Tags
from volfs.store.packs.codec import Packed, is_former_form, pack_object
from volfs.store.packs.reader import ObjectReader, open_record
from volfs.store.packs.rows import IndexEntry, decode_entry, place_record
from volfs.system.locks import try_lock

Row = tuple[Oid, bytes]
"""An object id and its undecoded index entry."""
ROWS_AT_ONCE = 1 << 12
"""Rows that one transaction changes, where nothing says that more belong together."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of an engine that its care needs."""

    directory: Path
    """Of the packs."""
    environment: LmdbEnvironment
    index: Index
    refs: Refs
    tags: Tags
    leases: Leases
    names: NameLog
    holds: Holds
    objects: ObjectReader
    packs: PackReader
    pool: WriterPool


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """One gc or repair at a time. ConflictError if another runs; it ends with its process."""
    with store_errors(f"{directory}"):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not try_lock(fd):
            raise ConflictError("another gc or repair of this store is running; wait for it")
        yield
    finally:
        os.close(fd)


class HeldPack:
    """A pack's lock, as long as this lives: nobody writes to the pack meanwhile."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def hold_pack(parts: Parts, pack: int, durable: int) -> HeldPack | None:
    """None if somebody has it, or its row is not as it was. One without a file needs no lock."""
    with store_errors(f"pack {pack}"):
        try:
            fd = os.open(pack_path(parts.directory, pack), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return HeldPack(-1) if durable else None
    held = HeldPack(fd)
    row = parts.index.find_pack(pack) if try_lock(fd) else None
    if row is None or row.durable != durable:
        held.close()
        return None
    return held


class Moved(NamedTuple):
    oid: Oid
    row: bytes
    """Its index entry when it was copied."""
    entry: IndexEntry
    """Where the copy is."""


class Copier:
    """Copies records into packs of its own. A context manager; what is not settled is forgotten."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._writers: dict[PackKind, PackWriter] = {}
        self._full: list[PackWriter] = []
        self.copied = 0
        """Bytes since it was settled, headers included."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._all():
            self._parts.pool.give_back(writer)

    def copy(self, oid: Oid, row: bytes) -> Moved:
        """DataError if what is stored there is not the object. Its header is made anew.

        What a former volfs stored in one piece is stored in blocks then.
        """
        entry = decode_entry(oid, row)
        opened = open_entry(self._parts, oid, entry)
        packed = Packed(entry.header(oid), (opened.stored,))
        if is_former_form(packed.header):
            packed = pack_object(entry.kind, oid, opened.data)
        writer = self._writer_for(pack_kind(entry.kind))
        offset = self._parts.pool.append(writer, packed)
        self.copied += RECORD_HEADER_SIZE + entry.stored
        return Moved(oid, row, place_record(packed.header, writer.pack, offset))

    def sync(self) -> None:
        writers = self._all()
        for writer in writers:
            writer.sync()
        if any(writer.is_new for writer in writers):
            self._parts.pool.sync_directory()

    def extend(self, txn: Transaction) -> None:
        for writer in self._all():
            self._parts.index.extend(txn, writer.pack, writer.end)
        self._parts.pool.prove(self._all())

    def settle(self) -> None:
        """The transaction has ended well."""
        self.copied = 0
        for writer in self._all():
            writer.settle()
        for writer in self._full:
            writer.close()
        self._full.clear()

    def _all(self) -> list[PackWriter]:
        return [*self._full, *self._writers.values()]

    def _writer_for(self, kind: PackKind) -> PackWriter:
        writer = self._writers.get(kind)
        if writer is not None and writer.end >= PACK_TARGET:
            self._full.append(self._writers.pop(kind))
            writer = None
        if writer is None:
            writer = self._writers[kind] = self._parts.pool.create(kind, reserve=0)
        return writer


def is_former_pack(packs: PackReader, pack: int) -> bool:
    """Whether a former volfs made it. What cannot be read is for others to find."""
    try:
        header = decode_pack_header(packs.read_at(pack, 0, PACK_HEADER_SIZE))
    except DataError:
        return False
    return header.version < PACK_VERSION


class Opened(NamedTuple):
    stored: Buffer
    data: Buffer


def open_entry(parts: Parts, oid: Oid, entry: IndexEntry) -> Opened:
    """What is stored at a place, verified. DataError if it is not the object."""
    start, length = entry.offset - RECORD_HEADER_SIZE, RECORD_HEADER_SIZE + entry.stored
    try:
        record = memoryview(parts.packs.read_at(entry.pack, start, length))
        data = open_record(oid, entry, record)
    except DataError as error:
        raise type(error)(f"{entry.where(oid)}: {error}") from error
    return Opened(record[RECORD_HEADER_SIZE:], data)


def read_rows(parts: Parts, packs: set[int]) -> dict[int, list[Row]]:
    """The index entries of these packs, by pack and offset. DamagedObjectError."""
    found: dict[int, list[Row]] = {pack: [] for pack in packs}
    for oid, row in parts.index.iter_rows():
        pack = decode_entry(oid, row).pack
        if pack in packs:
            found[pack].append((oid, row))
    for rows in found.values():
        rows.sort(key=lambda item: decode_entry(*item).offset)
    return found
