"""Writing pack files: who may write, where a record goes, and what is durable. Rules:
docs/format.md."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from volfs.errors import DataError, OutOfSpaceError, StoreUnavailableError, VolfsError
from volfs.errors.fault_points import reached
from volfs.model.pack import (
    PACK_HEADER_SIZE,
    PACK_VERSION,
    PackKind,
    decode_pack_header,
    encode_pack_header,
    encode_record_header,
)
from volfs.store.checked_lmdb.environment import RESERVE, store_errors
from volfs.store.embedded.data.index import Index
from volfs.store.embedded.data.pack_files import (
    find_file,
    pack_path,
    refuse_pack,
)
from volfs.store.owner import give_to_owner
from volfs.store.packs.codec import Packed
from volfs.store.packs.rows import PackRow
from volfs.system.files import sync_directory, write_all, write_parts
from volfs.system.locks import try_lock

PACK_TARGET = 64 << 20
"""A pack of this size is full. A record may cross this size, but never begins after it."""


@dataclass(slots=True)
class _AppendedPack:
    """A pack that is open for appending, with its lock. It outlives its ``PackWriter``."""

    fd: int
    durable: int
    offered: bool = False
    """Whether a transaction may have published more bytes than ``durable`` says."""
    owner: int = field(default_factory=os.getpid)

    def cut(self, durable: int) -> None:
        if os.fstat(self.fd).st_size > durable:
            os.ftruncate(self.fd, durable)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def drop(self) -> None:
        """Close the pack of an upload that was garbage-collected without being left. The index is
        not asked from here."""
        with suppress(OSError):
            if self.fd >= 0 and not self.offered and self.owner == os.getpid():
                self.cut(self.durable)
        self.close()


class PackWriter:
    """Appends to one pack, whose lock it holds until it is closed. Not thread-safe."""

    def __init__(self, fd: int, row: PackRow) -> None:
        self.pack, self.kind, durable = row
        self._file = _AppendedPack(fd, durable)
        weakref.finalize(self, self._file.drop)
        self.end = max(self.durable, PACK_HEADER_SIZE)
        self.is_new = self.durable == 0
        """Whether the file's name in the directory may not be durable yet."""
        self._synced = self.durable
        self._failed = False
        self._torn = False
        """Whether there may be bytes after the end, from a record that did not fit on the disk."""

    @property
    def durable(self) -> int:
        return self._file.durable

    def append(self, packed: Packed) -> int:
        """Write one record, and return the offset of its stored bytes. After an error nothing has
        moved.

        StoreReplacedError if somebody cut the pack: the record would make the pack as long as it
        should be, with zeros in place of the bytes that were cut off.
        """
        if os.fstat(self._file.fd).st_size < self.end:
            raise refuse_pack(self.pack)
        was_torn, self._torn = self._torn, True
        header = encode_record_header(packed.header)
        with store_errors(f"pack {self.pack}"):
            write_parts(self._file.fd, [header, *packed.parts], self.end)
        self._torn = was_torn
        offset = self.end + len(header)
        self.end = offset + packed.header.stored
        return offset

    def cut(self, durable: int) -> None:
        """Give back to the disk the bytes after the published length. OSError."""
        self._file.cut(durable)

    def sync(self) -> None:
        """Make everything that was appended durable.

        Once this has failed, it fails for ever. The kernel may have dropped the bytes, and would
        report success for a second fdatasync.
        """
        if self._failed:
            raise StoreUnavailableError(
                f"pack {self.pack}: writing it to the disk failed; start the change again"
            )
        self._file.offered = True
        if self._synced == self.end:
            return
        self._failed = True
        with store_errors(f"pack {self.pack}"):
            os.fdatasync(self._file.fd)
        self._failed = False
        self._synced = self.end

    def settle(self) -> None:
        """Confirm that the index has recorded the end."""
        self._file.durable, self._file.offered, self.is_new = self.end, False, False

    def is_in_place(self, directory: Path) -> bool:
        """Whether the file that is written to is in place, and nobody cut it short. StoreError."""
        state, file = os.fstat(self._file.fd), find_file(directory, self.pack)
        is_same = file is not None and file.identity == (state.st_dev, state.st_ino)
        return is_same and state.st_size >= self.end

    def is_whole(self, directory: Path) -> bool:
        """As ``is_in_place``, and nobody has linked the file elsewhere."""
        return os.fstat(self._file.fd).st_nlink == 1 and self.is_in_place(directory)

    @property
    def is_reusable(self) -> bool:
        """Whether the next upload may go on where this one ended."""
        return self.end == self.durable < PACK_TARGET and not self._torn

    def close(self) -> None:
        """Release the lock."""
        self._file.close()


def _is_former(fd: int, row: PackRow) -> bool:
    """Whether a pack is of a former volfs, which would not understand what is added to it."""
    if row.durable == 0:
        return False
    try:
        return decode_pack_header(os.pread(fd, PACK_HEADER_SIZE, 0)).version < PACK_VERSION
    except DataError:
        return False


class WriterPool:
    """Gives each upload packs of its own, and keeps those that may be continued. Thread-safe.

    A pack with unpublished bytes is never kept. These bytes are cut off before the lock is
    released, so that a change that failed leaves the disk as it was. Bytes left by a process that
    died are cut by the process that adopts the pack, by gc, and by ``reclaim``.
    """

    def __init__(
        self,
        directory: Path,
        index: Index,
        check_place: Callable[[], None],
        may_reclaim: Callable[[], bool],
    ) -> None:
        self._directory = directory
        self._index = index
        self.check_place = check_place
        """Raises StoreReplacedError if the directory is no longer the store's."""
        self._may_reclaim = may_reclaim
        """Whether bytes that the index does not know belong to dead uploads."""
        self._idle: list[PackWriter] = []
        self._lock = threading.Lock()
        self._closed = False

    def take(self, kind: PackKind) -> PackWriter:
        """A writer for the caller alone: a kept one, an adopted one, or a new one."""
        while (writer := self._take_kept(kind)) is not None:
            if self._is_as_left(writer):
                return writer
            writer.close()
        self.check_place()
        return self._adopt_any(kind) or self.create(kind)

    def _take_kept(self, kind: PackKind) -> PackWriter | None:
        with self._lock:
            for writer in self._idle:
                if writer.kind is kind:
                    self._idle.remove(writer)
                    return writer
        return None

    def _is_as_left(self, writer: PackWriter) -> bool:
        """Whether a kept writer may go on: neither its pack nor the row was replaced by an older
        copy."""
        row = self._index.find_pack(writer.pack)
        return row is not None and row.durable == writer.end and writer.is_whole(self._directory)

    def prove(self, writers: Iterable[PackWriter]) -> None:
        """StoreReplacedError if a written pack is not in the store."""
        for writer in writers:
            if not writer.is_in_place(self._directory):
                raise refuse_pack(writer.pack)

    def give_back(self, writer: PackWriter) -> None:
        with self._lock:
            if writer.is_reusable and not self._closed:
                self._idle.append(writer)
                return
        self._take_back(writer)
        writer.close()

    def append(self, writer: PackWriter, packed: Packed) -> int:
        """As ``PackWriter.append``. On a full disk it is tried once more, if dead uploads had room
        to give back."""
        try:
            return writer.append(packed)
        except OutOfSpaceError:
            if not self.reclaim():
                raise
        return writer.append(packed)

    def reclaim(self) -> int:
        """Cut what dead uploads left after the published part of any pack. Returns how many bytes.

        A locked pack has a living upload, and is left alone.
        """
        self.check_place()
        if not self._may_reclaim():
            return 0
        return sum(self._reclaim(row) for row in self._index.list_readable_packs())

    def sync_directory(self) -> None:
        """Make the names of new packs durable."""
        with store_errors(f"{self._directory}"):
            sync_directory(self._directory)

    def release(self) -> None:
        """Release the packs that are kept for later, because others may want them."""
        with self._lock:
            for writer in self._idle:
                writer.close()
            self._idle.clear()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self.release()

    def _take_back(self, writer: PackWriter) -> None:
        """Cut the bytes that the index does not have. If that fails, they stay, as after a
        death."""
        with suppress(VolfsError, OSError):
            self.check_place()
            row = self._index.find_pack(writer.pack)
            # Any other length comes from an index that was restored over this one.
            if row is not None and row.durable in (writer.durable, writer.end):
                writer.cut(row.durable)

    def _reclaim(self, seen: PackRow) -> int:
        path = pack_path(self._directory, seen.pack)
        with suppress(OSError):
            if path.stat().st_size <= seen.durable:
                return 0
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                row = self._lock_row(fd, path, seen.pack)
                left = 0 if row is None else os.fstat(fd).st_size - row.durable
                if row is not None and left > 0:
                    os.ftruncate(fd, row.durable)
                    return left
            finally:
                os.close(fd)
        return 0

    def _adopt_any(self, kind: PackKind) -> PackWriter | None:
        # Newest first, because their bytes are the likeliest to be wanted, and cached, together.
        for row in reversed(self._index.list_packs()):
            if row.kind is kind and row.durable < PACK_TARGET:
                writer = self._adopt(row)
                if writer is not None:
                    return writer
        return None

    def create(self, kind: PackKind, reserve: int = RESERVE) -> PackWriter:
        """A writer of a new pack."""
        self.check_place()
        while True:
            # Somebody may adopt the new row before we lock its pack. Then the next id is taken.
            writer = self._adopt(PackRow(self._allocate(kind, reserve), kind, 0))
            if writer is not None:
                return writer

    def _allocate(self, kind: PackKind, reserve: int) -> int:
        with store_errors(f"{self._directory}"):
            return self._index.allocate_pack(
                kind, lambda pack: pack_path(self._directory, pack).exists(), reserve
            )

    def _adopt(self, seen: PackRow) -> PackWriter | None:
        """Lock the pack and cut what is not published. None if the pack cannot be had."""
        path = pack_path(self._directory, seen.pack)
        # A file is made only if the row says that nothing can be lost.
        making = os.O_CREAT | os.O_NOFOLLOW if seen.durable == 0 else 0
        flags = os.O_RDWR | os.O_CLOEXEC | making
        with store_errors(f"pack {seen.pack}"):
            try:
                fd = os.open(path, flags, 0o600)
            except FileNotFoundError:
                if (
                    flags & os.O_CREAT
                ):  # The directory is gone, so the next pack would have no place either.
                    raise
                return None
            try:
                writer = self._lock_and_cut(fd, path, seen.pack)
            except BaseException:
                os.close(fd)
                raise
            if writer is None:
                os.close(fd)
            return writer

    def _lock_and_cut(self, fd: int, path: Path, pack: int) -> PackWriter | None:
        row = self._lock_row(fd, path, pack)
        if row is None or row.durable >= PACK_TARGET or _is_former(fd, row):
            return None
        reached("pack.locked")
        os.ftruncate(fd, row.durable)
        if row.durable == 0:
            give_to_owner(fd, self._directory)
            write_all(fd, encode_pack_header(row.kind), 0)
        return PackWriter(fd, row)

    def _lock_row(self, fd: int, path: Path, pack: int) -> PackRow | None:
        """The pack's row, read under the pack's lock. None if the pack cannot be had."""
        if not try_lock(fd):
            return None
        # The row is final only now, because the last holder of the lock may have published just
        # before.
        row = self._index.find_pack(pack)
        state = os.fstat(fd)
        if row is None or state.st_size < row.durable:
            return None
        # A file with two names belongs to a copy of the store, too, which a change here would
        # change.
        is_there = state.st_nlink == 1 and os.path.samestat(state, path.stat())
        return row if is_there else None
