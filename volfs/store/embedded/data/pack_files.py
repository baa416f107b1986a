"""Reading pack files: bytes at offsets, with a bounded number of files open."""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from volfs.errors import DamagedObjectError, MissingObjectError, StoreReplacedError
from volfs.store.anchor import name_places
from volfs.store.checked_lmdb.environment import store_errors
from volfs.store.embedded.data.patience import Patience
from volfs.store.lru import LruMap

OPEN_FILES = 256
PATIENT_LENGTH = 160 << 10
"""A block that zstd has not made smaller than this is left to a thread. Most blocks are much
smaller."""
READS = 3
"""Attempts to read bytes when the disk fails, because bytes that a repair cannot read are lost for
good."""


def pack_path(directory: Path, pack: int) -> Path:
    return directory / f"{pack:08d}.pack"


class PackFile(NamedTuple):
    """The present file of a pack."""

    identity: tuple[int, int]
    """Device and inode number."""
    size: int


def find_file(directory: Path, pack: int) -> PackFile | None:
    """The file of a pack, or None. StoreError."""
    with store_errors(f"pack {pack}"):
        try:
            state = pack_path(directory, pack).stat()
        except FileNotFoundError:
            return None
    return PackFile((state.st_dev, state.st_ino), state.st_size)


def refuse_pack(pack: int) -> StoreReplacedError:
    return StoreReplacedError(
        f"pack {pack}: its file was replaced, cut short or removed while it was in use; "
        "nothing was published: try again"
    )


def list_files(directory: Path) -> list[int]:
    """The ids of the pack files in the directory, ascending."""
    with store_errors(f"{directory}"):
        files = [path for path in directory.iterdir() if path.suffix == ".pack"]
    numbers = {int(path.stem): path for path in files if path.stem.isdecimal()}
    return sorted(n for n, path in numbers.items() if pack_path(directory, n) == path)


def measure_files(directory: Path) -> dict[int, int]:
    """The sizes of the pack files by their ids. A pack that is removed meanwhile is left out."""
    sizes = {}
    for pack in list_files(directory):
        with suppress(FileNotFoundError):
            sizes[pack] = pack_path(directory, pack).stat().st_size
    return sizes


class _OpenPack:
    """An open pack file. It is closed when its last user lets go of it, because an evicted file
    may be in the middle of a read."""

    __slots__ = ("__weakref__", "fd", "is_scattered")

    def __init__(self, path: Path) -> None:
        self.is_scattered = False
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.fd).atexit = False


def _read_patiently(fd: int, length: int, offset: int) -> bytes:
    for _ in range(READS - 1):
        try:
            return os.pread(fd, length, offset)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
    return os.pread(fd, length, offset)


def _read_present(fd: int, data: bytearray, offset: int) -> bool:
    """Fill ``data`` from the page cache. False if not all of it is there yet."""
    try:
        return os.preadv(fd, [data], offset, os.RWF_NOWAIT) == len(data)
    except BlockingIOError:
        return False


class PackReader:
    """Bytes of packs, by pack id. Thread-safe. Errors name the pack; callers add the object.

    ``when_replaced`` is called when another file was opened than the one that was read before.
    """

    def __init__(
        self, directory: Path, when_replaced: Callable[[int], None] = lambda pack: None
    ) -> None:
        self._directory = directory
        self._open: LruMap[int, _OpenPack] = LruMap(OPEN_FILES)
        self._can_refuse = True
        self._patience = Patience()
        self._known: dict[int, tuple[int, int]] = {}
        """Device and inode number of every file that was read."""
        self._when_replaced = when_replaced

    def read_at(self, pack: int, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. MissingObjectError if there is no file; DamagedObjectError if
        it is too short."""
        file = self._get_open(pack)
        try:
            data = _read_patiently(file.fd, length, offset)
        except OSError as error:
            if error.errno == errno.EIO:
                where = f"pack {pack}, the {length} bytes at {offset}"
                raise DamagedObjectError(f"{where}: the disk cannot read them") from error
            with store_errors(f"pack {pack}"):
                raise
        if len(data) != length:
            raise DamagedObjectError(
                f"pack {pack} ends within the {length} bytes at {offset}: it was cut short"
            )
        return data

    def read_ready(self, pack: int, offset: int, length: int) -> bytearray | None:
        """As ``read_at``, but None unless the bytes are in the page cache now or within a moment.

        Always None on a file system without RWF_NOWAIT, because nothing else tells whether a read
        would wait.
        """
        if not self._can_refuse:
            return None
        file = self._open.find(pack) or self._get_open(pack)
        fd, data = file.fd, bytearray(length)
        try:
            if _read_present(fd, data, offset):
                return data
            # The kernel has begun to read the missing bytes.
            if length <= PATIENT_LENGTH and self._patience.wait_for(
                lambda: _read_present(fd, data, offset), length
            ):
                return data
        except OSError as error:
            # ``read_at`` will meet any other failure, and name it.
            self._can_refuse = error.errno != errno.EOPNOTSUPP
        return None

    def prefetch(self, pack: int, offset: int, length: int) -> None:
        """Let the kernel begin to read. It does so without a thread of ours."""
        file = self._get_open(pack)
        try:
            os.posix_fadvise(file.fd, offset, length, os.POSIX_FADV_WILLNEED)
        except OSError:
            with store_errors(f"pack {pack}"):
                raise

    def expect_scattered(self, pack: int) -> None:
        """Turn off the kernel's read-ahead for a pack whose blocks are read here and there."""
        file = self._get_open(pack)
        if not file.is_scattered:
            file.is_scattered = True
            with store_errors(f"pack {pack}"):
                os.posix_fadvise(file.fd, 0, 0, os.POSIX_FADV_RANDOM)

    def get_size(self, pack: int) -> int:
        """The present length of a pack's file in bytes. MissingObjectError if there is no file."""
        file = self._get_open(pack)
        with store_errors(f"pack {pack}"):
            return os.fstat(file.fd).st_size

    def forget(self, pack: int) -> None:
        """Let go of a pack whose file no longer exists."""
        self._open.forget(pack)
        self._known.pop(pack, None)

    def _get_open(self, pack: int) -> _OpenPack:
        file = self._open.find(pack)
        if file is None:
            file = self._open_pack(pack)
            self._open.put(pack, file)
        return file

    def is_in_place(self, pack: int, end: int) -> bool:
        """Whether the file that was read, or will be read, is in place and has at least ``end``
        bytes.

        If not, the file is forgotten.
        """
        file = find_file(self._directory, pack)
        is_same = file is not None and self._known.get(pack, file.identity) == file.identity
        if is_same and file is not None and file.size >= end:
            return True
        self.forget(pack)
        self._when_replaced(pack)
        return False

    def _open_pack(self, pack: int) -> _OpenPack:
        path = pack_path(self._directory, pack)
        with store_errors(f"pack {pack}"):
            try:
                file = _OpenPack(path)
            except FileNotFoundError as error:
                missing = name_places(f"pack {pack}: {path} is missing")
                raise MissingObjectError(missing) from error
            state = os.fstat(file.fd)
        identity = (state.st_dev, state.st_ino)
        if self._known.get(pack, identity) != identity:
            self._when_replaced(pack)
        self._known[pack] = identity
        return file

    def close(self) -> None:
        self._open.clear()
