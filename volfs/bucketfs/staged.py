"""Bytes that were written to a file and are not in the bucket yet, in a local file.

Beside the bytes lies a *journal*. It says which key they belong to, which object they were written
over, and which bytes of that object they replace. Each write appends to it, so everything that a
killed daemon had written is known.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from volfs.bucketfs.names import Facts
from volfs.errors import DamagedObjectError, FileTooLargeError, LocalFileError, OutOfSpaceError
from volfs.model.intervals import Intervals
from volfs.model.text import show
from volfs.system.files import write_all

OBJECT_MAX = 5 << 40
"""The largest object in bytes, by the rules of the services."""
DATA, JOURNAL = ".data", ".journal"
_WRITTEN, _CUT, _ABOUT, _STATE = 1, 2, 3, 4
_SAVED, _CHANGED = 0, 1
_HEAD = struct.Struct("<BQQ")
"""A record's head: its kind and two numbers, the place and the length of what was written; or the
length of the bytes that follow."""


class About(msgspec.Struct):
    """The key, and the object that was written over. Without an ETag there was no object."""

    key: str
    etag: str = ""
    size: int = 0
    mtime_ns: int = 0

    @property
    def base(self) -> Facts | None:
        return Facts(self.size, self.mtime_ns, self.etag) if self.etag else None


class StagedPiece(NamedTuple):
    """A range of a file, and whether its bytes are the local file's or the object's."""

    is_local: bool
    start: int
    end: int


class Staged:
    """The bytes of one file. Only the trio thread changes them. Other threads read ranges that
    they are told."""

    def __init__(self, data: int, journal: int, stem: Path, about: About) -> None:
        self._data = data
        self._journal = journal
        self.stem = stem
        self.about = about
        self.size = about.size
        self._kept = about.size
        """Below this offset the object's bytes count, except where others were written over
        them."""
        self._written = Intervals()
        self._noted = os.lseek(journal, 0, os.SEEK_END)
        self.stamp = 0
        """Grows with each change."""
        self.saved = 0
        """The stamp of the bytes that the bucket has."""
        self.failed: int | None = None
        """The stamp of the bytes whose upload failed."""

    @property
    def is_dirty(self) -> bool:
        return self.stamp != self.saved

    @property
    def base(self) -> Facts | None:
        return self.about.base

    @property
    def mtime_ns(self) -> int:
        """When the bytes were last written."""
        return os.fstat(self._data).st_mtime_ns

    # --- changing --------------------------------------------------------

    def touch(self) -> None:
        """Let the file be uploaded although no byte is new."""
        with keeping():
            self._change()

    def _change(self) -> None:
        if not self.is_dirty:
            self._note(_STATE, _CHANGED, 0)
        self.stamp += 1

    def write(self, offset: int, data: bytes) -> int:
        """Write bytes, and return their number. OutOfSpaceError, FileTooLargeError."""
        end = offset + len(data)
        _check_size(end)
        with keeping():
            self._change()
            try:
                write_all(self._data, data, offset)
                if offset < self._kept:
                    self._note(_WRITTEN, offset, len(data))
                    self._written.add(offset, end)
            except OSError:
                self._cut_back()
                raise
        self.size = max(self.size, end)
        return len(data)

    def _cut_back(self) -> None:
        """Drop what a failed write left beyond the end: a later write further on would show it
        where zeros belong."""
        os.ftruncate(self._data, self.size)

    def truncate(self, size: int) -> None:
        """Cut the file, or extend it by zeros."""
        _check_size(size)
        with keeping():
            self._change()
            if size < self._kept:
                self._note(_CUT, size, 0)
            os.ftruncate(self._data, size)
        self._kept = min(self._kept, size)
        self.size = size

    def rename(self, key: str) -> None:
        """Let the file be uploaded under another key."""
        self._note_about(msgspec.structs.replace(self.about, key=key))

    def rebase(self, facts: Facts) -> None:
        """Lay the bytes over another object of the bucket, which has the same bytes as the former
        one."""
        self._note_about(_make_about(self.about.key, facts))

    def settle(self, facts: Facts, stamp: int) -> None:
        """Note that the bucket has the bytes of ``stamp``. Later writes lie over them."""
        self.saved = stamp
        self.failed = None
        about = _make_about(self.about.key, facts)
        self._note_about(about, b"" if self.is_dirty else _HEAD.pack(_STATE, _SAVED, 0))

    def _note_about(self, about: About, more: bytes = b"") -> None:
        """Note what the file is, and the records that follow."""
        self.about = about
        said = msgspec.json.encode(about)
        with keeping():
            self._append(_HEAD.pack(_ABOUT, 0, len(said)) + said + more)

    def _note(self, kind: int, offset: int, length: int) -> None:
        self._append(_HEAD.pack(kind, offset, length))

    def _append(self, record: bytes) -> None:
        try:
            if os.write(self._journal, record) != len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._journal, self._noted)  # Half a record would hide the next ones.
            raise
        self._noted += len(record)

    def _replay(self, kind: int, offset: int, length: int) -> None:
        if kind == _WRITTEN:
            self._written.add(offset, offset + length)
        elif kind == _CUT:
            self._kept = min(self._kept, offset)
        elif kind == _STATE:
            self.stamp = self.saved + (offset == _CHANGED)

    # --- reading ---------------------------------------------------------

    def find_pieces(self, start: int, end: int) -> list[StagedPiece]:
        """The pieces of a range, in order."""
        end = min(end, self.size)
        if start >= end:
            return []
        kept = min(self._kept, end)
        pieces, at = list[StagedPiece](), start
        for gap_start, gap_end in self._written.find_gaps(start, kept) if start < kept else ():
            if at < gap_start:
                pieces.append(StagedPiece(True, at, gap_start))
            pieces.append(StagedPiece(False, gap_start, gap_end))
            at = gap_end
        if at < end:
            pieces.append(StagedPiece(True, at, end))
        return pieces

    def read(self, start: int, end: int) -> bytes:
        """Read local bytes; zeros where nothing was written. May be called by any thread."""
        with keeping():
            data = os.pread(self._data, end - start, start)
        return data + bytes(end - start - len(data))

    def read_ready(self, start: int, end: int) -> bytes | None:
        """As ``read``, from the page cache; None if that would have to wait."""
        buffer = bytearray(end - start)
        try:
            got = os.preadv(self._data, [buffer], start, os.RWF_NOWAIT)
            if got < len(buffer) and start + got < os.fstat(self._data).st_size:
                return None  # The page cache has the first bytes alone.
        except OSError:
            return None
        return bytes(buffer)

    # --- the end ---------------------------------------------------------

    def close(self) -> None:
        os.close(self._data)
        os.close(self._journal)

    def empty(self) -> StagedPair | None:
        """Empty both files for another use: the bucket has the bytes, or nobody wants them. None
        if that fails; then the files are removed.

        A journal without a record stands for nothing, so it is emptied first.
        """
        try:
            os.ftruncate(self._journal, 0)
            os.ftruncate(self._data, 0)
        except OSError:
            self.remove()
            return None
        return StagedPair(self._data, self._journal, self.stem)

    def remove(self) -> None:
        """Remove both files. The bucket has the bytes, or nobody wants them."""
        self.close()
        stem = os.fspath(self.stem)  # Path objects cost more than the two calls.
        for suffix in (DATA, JOURNAL):
            with suppress(OSError):
                os.unlink(stem + suffix)  # noqa: PTH108


class StagedPair(NamedTuple):
    """The two files of a staged file, open and empty."""

    data: int
    journal: int
    stem: Path


def _make_about(key: str, base: Facts) -> About:
    return About(key, base.etag, base.size, base.mtime_ns)


def create_pair(stem: Path) -> StagedPair:
    """Create both files. OutOfSpaceError."""
    flags, place = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, os.fspath(stem)
    with keeping():
        data = os.open(place + DATA, flags, 0o600)
        try:
            journal = os.open(place + JOURNAL, flags | os.O_APPEND, 0o600)
        except BaseException:
            os.close(data)
            raise
    return StagedPair(data, journal, stem)


def begin_staged(pair: StagedPair, key: str, base: Facts | None) -> Staged:
    """Stage a file over an object or over none, in files that are empty. OutOfSpaceError."""
    about = About(key) if base is None else _make_about(key, base)
    staged = Staged(*pair, about)
    try:
        with keeping():
            if about.size:
                os.ftruncate(pair.data, about.size)
        staged._note_about(about)
    except BaseException:
        staged.remove()
        raise
    return staged


def create_staged(stem: Path, key: str, base: Facts | None) -> Staged:
    """Stage a file in new files. OutOfSpaceError."""
    return begin_staged(create_pair(stem), key, base)


def load_staged(stem: Path) -> Staged:
    """Load what a daemon left.

    DamagedObjectError if the journal does not say what it belongs to, or if one of the two files
    cannot be read.
    """
    try:
        records = list(_iter_records(stem.with_suffix(JOURNAL).read_bytes()))
        abouts = [msgspec.json.decode(more, type=About) for *_, more in records if more]
        about, first = abouts[-1], abouts[0]
    except OSError as error:
        raise DamagedObjectError(f"{error.filename}: {error.strerror}") from error
    except (ValueError, IndexError) as error:
        raise DamagedObjectError(f"{stem.name}: its journal does not say what it is") from error
    try:
        data, journal = _open_both(stem)
    except OSError as error:
        raise DamagedObjectError(
            f"{show(about.key)}: {error.filename}: {error.strerror}"
        ) from error
    staged = Staged(data, journal, stem, about)
    staged._kept = first.size
    staged.size = os.fstat(data).st_size
    for kind, offset, length, _ in records:
        staged._replay(kind, offset, length)
    return staged


def _open_both(stem: Path) -> tuple[int, int]:
    data = os.open(stem.with_suffix(DATA), os.O_RDWR | os.O_CLOEXEC)
    try:
        journal = stem.with_suffix(JOURNAL)
        return data, os.open(journal, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except BaseException:
        os.close(data)
        raise


def _iter_records(journal: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The records of a journal. The last record may have been cut off."""
    at = 0
    while at + _HEAD.size <= len(journal):
        kind, offset, length = _HEAD.unpack_from(journal, at)
        at += _HEAD.size
        more = journal[at : at + length] if kind == _ABOUT else b""
        at += len(more)
        if kind != _ABOUT or len(more) == length:
            yield kind, offset, length, more


def _check_size(size: int) -> None:
    if size > OBJECT_MAX:
        raise FileTooLargeError(f"{size} bytes: an object has at most {OBJECT_MAX}")


@contextmanager
def keeping() -> Iterator[None]:
    """Raise our errors for what the local disk refuses."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfSpaceError(
                f"no room left to keep what is written: {error.strerror}"
            ) from error
        raise LocalFileError(f"what is written cannot be kept: {error.strerror}") from error
