"""A spool: the records of one pack that is not in the bucket yet.

They are in memory at first, and then in a file without a name, which nobody else can change and
which leaves nothing behind when the process dies. If the local disk has no room, they stay in
memory, and the pack ends early.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from volfs.model.objects import Buffer
from volfs.model.pack import PACK_HEADER_SIZE, PackKind, encode_pack_header, encode_record_header
from volfs.model.segments.footer import PlacedRecord, encode_footer
from volfs.model.segments.packs_named import NamedPack
from volfs.store.distributed.data.pack_numbers import PackNumber
from volfs.store.packs.codec import Packed
from volfs.store.packs.rows import IndexEntry, place_record
from volfs.system.files import write_parts

FULL = 64 << 20
"""The length at which a pack ends: the record that crosses it is the last."""
FULL_IN_MEMORY = 8 << 20
SPILL = 512 << 10
"""The most bytes of a spool that lie in memory although the disk has room."""


class Spool:
    """Records that are appended, read, and put as one pack. For one thread at a time, except
    reading."""

    def __init__(self, kind: PackKind, number: PackNumber, directory: Path) -> None:
        self.kind = kind
        self.number = number
        self.records: list[PlacedRecord] = []
        self._directory = directory
        self._lock = threading.Lock()
        """Between readers and whoever moves or closes the bytes."""
        self._memory = bytearray(encode_pack_header(kind))
        self._file = -1
        self._length = len(self._memory)
        self._has_room = True
        """Whether the local disk took everything so far."""
        self._is_closed = False

    @property
    def size(self) -> int:
        """The bytes of the records, with their headers."""
        return self._length - PACK_HEADER_SIZE

    @property
    def is_full(self) -> bool:
        return self._length >= (FULL if self._has_room else FULL_IN_MEMORY)

    def append(self, packed: Packed) -> IndexEntry | None:
        """Append a record. None if the disk took no more: then the spool is full, and is as it
        was."""
        parts: Sequence[Buffer] = (encode_record_header(packed.header), *packed.parts)
        end = self._length + sum(map(len, parts))
        if self._file < 0 and end > SPILL and self._has_room:
            self._spill()
        if self._file >= 0 and not self._write(parts):
            if self.is_full:
                return None
            self._unspill()
        if self._file < 0:
            self._memory.extend(b"".join(parts))
        self._length = end
        record = PlacedRecord(end - packed.header.stored, packed.header)
        self.records.append(record)
        return place_record(packed.header, self.number, record.offset)

    def read_at(self, offset: int, length: int) -> bytes | None:
        """The bytes from ``offset`` on, fewer only at the end. None after ``close``."""
        with self._lock:
            if self._is_closed:
                return None
            if self._file < 0:
                return bytes(memoryview(self._memory)[offset : offset + length])
            return os.pread(self._file, length, offset)

    def read_records(self) -> bytes:
        """All records, as a line has them: without the header of a pack."""
        return self._read(PACK_HEADER_SIZE, self._length)

    def finish(self, name: str) -> tuple[NamedPack, memoryview]:
        """The pack under this name, and all of its bytes, mapped."""
        footer = encode_footer(self.records, self._length)
        pack = NamedPack(name, self._length + len(footer), self._length, len(self.records))
        if self._file < 0 or not self._write([footer]):
            return pack, memoryview(self._read(0, self._length) + footer)
        return pack, memoryview(mmap.mmap(self._file, pack.length, prot=mmap.PROT_READ))

    def close(self) -> None:
        """Give the room back. May be repeated."""
        with self._lock:
            self._is_closed = True
            self._memory = bytearray()
            self._drop_file()

    # --- inside ----------------------------------------------------------

    def _read(self, start: int, end: int) -> bytes:
        data = self.read_at(start, end - start)
        assert data is not None, "a spool that was closed"
        return data

    def _spill(self) -> None:
        """Move from memory to a file, if the disk can be used."""
        file = -1
        try:
            file = open_nameless(self._directory)
            write_parts(file, [self._memory], 0)
        except OSError:
            self._has_room = False
            if file >= 0:
                os.close(file)
            return
        with self._lock:
            self._file, self._memory = file, bytearray()

    def _unspill(self) -> None:
        """Move back to memory, because the disk took no more."""
        memory = bytearray(self._read(0, self._length))
        with self._lock:
            self._memory = memory
            self._drop_file()

    def _write(self, parts: Sequence[Buffer]) -> bool:
        """Write at the end. Whether there was room."""
        try:
            write_parts(self._file, parts, self._length)
        except OSError:
            self._has_room = False
            with suppress(OSError):
                os.ftruncate(self._file, self._length)
        return self._has_room

    def _drop_file(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def open_nameless(directory: Path) -> int:
    """A new file without a name. OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_TMPFILE | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(directory, flags, 0o600)
    except OSError:
        # Not every file system has files that never had a name.
        file, path = tempfile.mkstemp(dir=directory)
        Path(path).unlink()
        return file
