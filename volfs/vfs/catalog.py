"""The overlay on disk: records of dirty inodes and changed names, in the mount's own LMDB.

Memory has the working copy. Now and then, and at every fsync, all changes since the last time are
written in one transaction, after the scratch bytes that they refer to. A daemon that died has
therefore left an overlay in which each change is there whole or not at all. ``load`` brings it
back.

Records (docs/format.md, "Catalog"): ``i`` + number → an inode; ``n`` + number of a directory +
name → the number bound there, 0 for a whiteout; ``p`` + number of a file + stretch → the pieces
that begin there; ``s`` + arena + stretch → its sums; ``e`` + number of a directory + name, ``g`` +
link group → an inode number that is not derived; ``base-2`` → what the overlay stands on. Only the
changed stretches of a file are written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from volfs.errors import DamagedObjectError
from volfs.model.extents import ExtentMap
from volfs.model.manifest import Snapshot
from volfs.store.checked_lmdb.pages import DATA, check_there
from volfs.store.checked_lmdb.record_file import KeyRange, RecordFile, RowChange
from volfs.store.contract.refs import Head
from volfs.store.thaw import wait_until_thawed
from volfs.system.files import sync_directory
from volfs.system.libc import reserve_room
from volfs.vfs.arena import Work, refuse_deleted, to_overlay_error
from volfs.vfs.inode import ROOT_INO, Directory, File, Inode
from volfs.vfs.numbers import NumberOwner
from volfs.vfs.recording import find_kept, make_base, restore_inode, store_inode
from volfs.vfs.records import (
    BASE_KEY,
    FORMER_BASE_KEY,
    GROUPS,
    INODES,
    NAMES,
    NUMBERS,
    PIECES,
    SUMS,
    Recorded,
    StoredBase,
    decode_base,
    decode_records,
    encode,
    encode_number,
    encode_sums_record,
    inode_key,
    name_key,
    number_key,
    pieces_key,
    refuse_former,
    sums_key,
)
from volfs.vfs.scratch import Summed
from volfs.vfs.state import MountState

MAP_SIZE = 1 << 36
RESERVE = 4 << 20


class Flush(NamedTuple):
    """The records that one flush will write, and its work on scratch."""

    records: list[RowChange]
    dropped: list[bytes]
    """Prefixes of keys. Records that begin with one of these are deleted first."""
    works: list[Work]
    inos: set[int]
    names: set[tuple[int, bytes]]
    numbers: set[NumberOwner]
    maps: list[ExtentMap]
    """The extent maps whose pieces are in ``records``."""
    stamp: bytes


class Catalog:
    """The LMDB environment of one session. It is opened after daemonising, and used by one
    process.

    DamagedObjectError, also if a catalog that ``must_exist`` is lost; StoreError.
    """

    def __init__(self, directory: Path, *, must_exist: bool = False) -> None:
        self._directory = directory
        with _naming_errors():
            if must_exist:
                check_there(directory)
            directory.mkdir(mode=0o700, exist_ok=True)
        self._file = _open(directory)
        self._recorded: set[int] = set()
        self._in_pieces: set[int] = set()
        """The files that have records of pieces."""
        self._view: tuple[Head, Snapshot] | None = None
        """What the recorded overlay stands on; None if that is not known."""
        self.stamp = b""
        """The stamp of the last flush that was written."""
        self._data = -1
        self._reserved = 0
        try:
            with _naming_errors():
                self._data = os.open(directory / DATA, os.O_RDWR | os.O_CLOEXEC)
                sync_directory(directory)
                self._reserve()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._file.close()
        if self._data >= 0:
            os.close(self._data)

    def _reserve(self) -> None:
        """Reserve room on the disk for later records, because only records can free the room that
        scratch uses."""
        wanted = os.fstat(self._data).st_size + RESERVE
        if wanted > self._reserved:
            self._reserved = wanted + RESERVE
            with suppress(OSError):  # As much as the disk has is enough.
                reserve_room(self._data, self._reserved)

    # --- writing ---------------------------------------------------------

    def prepare(self, state: MountState) -> Flush:
        """Take all that is not recorded yet, as records. In the trio thread, no I/O.

        After the view was swapped, the next flush makes every record anew, whoever asks for it.
        """
        overlay = state.overlay
        inos, names = overlay.take_unrecorded()
        view = (state.view.head, state.view.snapshot)
        rebased, self._view = view != self._view, view
        # Directories may be recorded only because of what was below them.
        if rebased or overlay.is_clean:
            inos |= self._recorded
        kept = find_kept(state, inos)
        inos |= kept.keys() - self._recorded
        stamp = os.urandom(16)
        numbers = state.inodes.numbers.take_unrecorded()
        flush = Flush([], [], state.scratch.take(), inos, names, numbers, [], stamp)
        flush.records.extend(self._inode_records(state, flush, kept))
        flush.records.extend(self._name_record(state, ino, name) for ino, name in names)
        for key in numbers:
            number = state.inodes.numbers.find_exception(key)
            flush.records.append((number_key(key), encode_number(number)))
        if flush.records or rebased:
            flush.records.append((BASE_KEY, encode(make_base(state, stamp))))
        return flush

    def prepare_anew(self, state: MountState) -> Flush:
        """A flush that replaces all records, except for sums, by those of a fresh state."""
        flush = self.prepare(state)
        flush.dropped[:0] = [INODES, NAMES, PIECES, NUMBERS, GROUPS]
        return flush

    def give_back(self, state: MountState, flush: Flush) -> None:
        """Take back a flush that could not be written, so that a later one records it."""
        state.overlay.give_back_unrecorded(flush.inos, flush.names)
        state.inodes.numbers.give_back_unrecorded(flush.numbers)
        state.scratch.give_back(flush.works)
        for extents in flush.maps:
            extents.touched = None
        self._recorded |= flush.inos
        self._in_pieces |= flush.inos
        self._view = None

    def write(self, flush: Flush, summed: list[Summed], committed: int = 0) -> None:
        """Make a flush durable, in one transaction. In a thread. OutOfSpaceError.

        ``summed`` are the sums that its works resulted in. No file needs bytes of the arenas up to
        ``committed``.
        """
        sums = [
            (sums_key(arena.number, stretch), encode_sums_record(changed))
            for arena, stretches, _ in summed
            for stretch, changed in stretches.items()
        ]
        if not flush.records and not sums:
            return
        self._put(flush, sums, committed)
        if not os.fstat(self._data).st_nlink:
            raise refuse_deleted()
        if flush.records:
            self.stamp = flush.stamp
        self._reserve()

    def _put(self, flush: Flush, sums: list[RowChange], committed: int) -> None:
        ranges: list[KeyRange] = [(prefix, prefix + b"\xff" * 8) for prefix in flush.dropped]
        if committed:
            ranges.append((SUMS, sums_key(committed + 1)))
        wait_until_thawed(self._data)
        with _naming_errors():
            self._file.write([*flush.records, *sums], ranges)

    def _inode_records(
        self, state: MountState, flush: Flush, kept: dict[int, Inode]
    ) -> Iterator[RowChange]:
        """The records of inodes that need one, and deletions of the others."""
        inos = flush.inos
        for ino in inos & kept.keys():
            inode = kept[ino]
            yield inode_key(ino), encode(store_inode(state, inode))
            if isinstance(inode, File) and inode.extents is not None:
                yield from self._piece_records(flush, ino, inode.extents)
            else:
                self._drop_pieces(flush, ino)
        for ino in (inos - kept.keys()) & self._recorded:
            yield inode_key(ino), None
            self._drop_pieces(flush, ino)
        self._recorded -= inos
        self._recorded |= kept.keys()

    def _piece_records(self, flush: Flush, ino: int, extents: ExtentMap) -> Iterator[RowChange]:
        """The pieces of the stretches that were touched since they were recorded."""
        stretches: Iterable[int] | None = extents.touched
        if stretches is None:
            self._drop_pieces(flush, ino)
            stretches = extents.iter_stretches()
        for stretch in stretches:
            self._in_pieces.add(ino)
            pieces = extents.find_beginning(stretch)
            yield pieces_key(ino, stretch), encode(pieces) if pieces else None
        extents.touched = set()
        flush.maps.append(extents)

    def _drop_pieces(self, flush: Flush, ino: int) -> None:
        if ino in self._in_pieces:
            self._in_pieces.discard(ino)
            flush.dropped.append(pieces_key(ino))

    def _name_record(self, state: MountState, ino: int, name: bytes) -> RowChange:
        directory = state.inodes.find(ino)
        key = name_key(ino, name)
        if not isinstance(directory, Directory) or name not in directory.changed:
            return key, None
        if directory.parent is None and ino != ROOT_INO:
            return key, None
        child = directory.children[name]
        return key, (child.ino if child else 0).to_bytes(8, "big")

    # --- reading ---------------------------------------------------------

    def find_base(self, over: bytes = b"") -> StoredBase | None:
        """What the recorded overlay stands on; None if nothing uncommitted is recorded.

        ``over`` is the stamp that the lease has from the last publication. If it is the stamp
        recorded here, the daemon died before it could record that the overlay is published as a
        whole: the records are dropped.
        """
        with _reading():
            rows = dict(self._file.list_all())
            has_inodes = any(key.startswith(INODES) for key in rows)
            if has_inodes and BASE_KEY not in rows:
                is_former = FORMER_BASE_KEY in rows
                raise refuse_former() if is_former else DamagedObjectError("it stands on nothing")
            base = decode_base(rows[BASE_KEY]) if rows.get(BASE_KEY) else None
        if base is not None:
            self.stamp = base.stamp
            if has_inodes and not (over and over == base.stamp):
                return base
        if rows:  # Sums of arenas that are gone must not be taken for sums of later ones.
            with _naming_errors():
                self._file.clear()
        return None

    def read(self) -> Recorded:
        """Read all records. DamagedObjectError."""
        return _read_all(self._file)

    def load(self, state: MountState, recorded: Recorded) -> None:
        """Bring the recorded overlay back into a fresh state over what it stands on."""
        base, inodes, names, pieces, sums, numbers = recorded
        assert base is not None, "somebody recorded it"
        self._view = (state.view.head, state.view.snapshot)
        state.inodes.numbers.restore(numbers, base.last_ino)
        if ROOT_INO in inodes:
            state.root.entry = inodes[ROOT_INO].entry
        for ino in inodes:
            restore_inode(state, inodes, pieces, ino)
        state.scratch.restore(sums, chain.from_iterable(pieces.values()))
        self._recorded.update(inodes)
        self._in_pieces.update(pieces)
        for parent, name, ino in names:
            directory, child = state.inodes.find(parent), state.inodes.find(ino)
            assert isinstance(directory, Directory), "records fit together"
            directory.children[name] = child
            directory.changed.add(name)
            if isinstance(child, File) and child.entry.group:
                child.aliases.add((directory, name))
        for ino, stored in inodes.items():
            inode = state.inodes.find(ino)
            if stored.dirty and inode is not None:
                state.overlay.dirty[ino] = inode


def read_catalog(directory: Path) -> Recorded:
    """Read all records of a catalog whose daemon may be alive. Nothing is changed.

    DamagedObjectError.
    """
    check_there(directory)
    with closing(_open(directory, readonly=True)) as file:
        return _read_all(file)


def _open(directory: Path, *, readonly: bool = False) -> RecordFile:
    with _naming_errors():
        return RecordFile(directory, "catalog", map_size=MAP_SIZE, readonly=readonly)


def _read_all(file: RecordFile) -> Recorded:
    with _reading():
        return decode_records(file.list_all())


@contextmanager
def _reading() -> Iterator[None]:
    with _naming_errors():
        try:
            yield
        except DamagedObjectError as error:
            raise DamagedObjectError(f"catalog: {error}") from error


@contextmanager
def _naming_errors() -> Iterator[None]:
    """Raise the system's errors as errors of volfs."""
    try:
        yield
    except OSError as error:
        raise to_overlay_error("catalog", error) from error
