"""The disk cache of buckets: bytes of objects, kept for all processes of one user.

Reading takes no lock and creates nothing. One process at a time writes. The cache never fails:
bytes that it does not have are fetched, and bytes that it cannot store are not kept
(docs/decisions/0046-a-cache-of-files-with-sums.md).
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import resource
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from volfs.buckets.cache.cache_account import Account, Usage, measure
from volfs.buckets.cache.cache_file import OPEN, CachedBytes, CacheFile
from volfs.buckets.cache.cache_layout import (
    BLOCK,
    PAGE,
    CachedSegment,
    Content,
    iter_segments,
    pack_sums,
    read_sums,
)
from volfs.buckets.cache.cache_place import CachePlace, choose_cache_directory, choose_cache_size
from volfs.errors import LocalFileError
from volfs.model.objects import Buffer
from volfs.model.ranges import Range
from volfs.system.files import write_all
from volfs.system.slabs import is_aligned

T = TypeVar("T")
log = logging.getLogger(__name__)

OPEN_MAX = 256
"""The most open files, unless an eighth of what the process may open is less."""
PAUSE = 5.0
"""Seconds without a try after the disk refused a write."""
OVERHEAD = 3 * PAGE + 512
"""Bytes that a new file takes beside its blocks: its page, its map of extents, its directory,
its name."""
DIRECT_LEAST = 1 << 20
"""Fewer bytes are written through the page cache."""
_WRITE = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class DiskCache:
    """The cache as one process uses it. Thread-safe. InvalidError if the environment names an
    invalid size."""

    def __init__(self, directory: Path | None = None, limit: int | None = None) -> None:
        directory = choose_cache_directory() if directory is None else directory
        self.limit = choose_cache_size(directory) if limit is None else limit
        self.place = CachePlace(directory)
        self.damaged = 0
        """How many blocks this process has met that were not what was stored."""
        self._open: OrderedDict[CachedSegment, CacheFile] = OrderedDict()
        self._mutex = threading.Lock()
        self._writing = threading.Lock()
        """Threads of this process wait for each other here. For other processes they wait a short
        time only."""
        self._open_max = min(OPEN_MAX, max(4, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 8))
        self._not_before = 0.0
        self._said = ""

    @property
    def is_usable(self) -> bool:
        """Whether the cache accepts anything, as far as is known."""
        return self.limit > 0 and time.monotonic() >= self._not_before

    # --- reading ---------------------------------------------------------

    def read(self, content: Content, start: int, end: int, *, waits: bool = True) -> Buffer | None:
        """These bytes of an object, if they are there; never wrong bytes.

        Without ``waits``, only from the page cache, as fast as memory.
        """
        parts = []
        for segment, low, high in iter_segments(content, start, end):
            part = self._read_segment(segment, low, high, waits)
            if part is None:
                return None
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_present(self, content: Content, start: int, end: int) -> Iterator[CachedBytes]:
        """The part of these bytes that is there, in pieces."""
        for segment, low, high in iter_segments(content, start, end):
            for a, b in self._find_present(segment, low, high):
                part = self._read_segment(segment, a, b, waits=True)
                if part is not None:
                    yield segment.start + a, part
                    continue
                for c in range(a // BLOCK * BLOCK, b, BLOCK):  # One of these blocks is damaged.
                    x, y = max(a, c), min(b, c + BLOCK)
                    part = self._read_segment(segment, x, y, waits=True)
                    if part is not None:
                        yield segment.start + x, part

    def list_present(self, content: Content, start: int, end: int) -> list[Range]:
        """The ranges of these bytes that seem to be there. Only reading them proves it."""
        return [
            (segment.start + a, segment.start + b)
            for segment, low, high in iter_segments(content, start, end)
            for a, b in self._find_present(segment, low, high)
        ]

    def _find_present(self, segment: CachedSegment, start: int, end: int) -> list[Range]:
        return self._ask(segment, lambda file: file.find_present(start, end), waits=True) or []

    def _read_segment(
        self, segment: CachedSegment, start: int, end: int, waits: bool
    ) -> Buffer | None:
        return self._ask(segment, lambda file: file.read(start, end, waits=waits), waits=waits)

    def _ask(
        self, segment: CachedSegment, ask: Callable[[CacheFile], T], *, waits: bool
    ) -> T | None:
        """The answer of a segment's file. If the file was deleted, its successor is asked.

        Without ``waits``, only a file that is open is asked, because opening one may take its
        time.
        """
        for _ in range(2):
            file = self._find_open(segment) or (self._open_file(segment) if waits else None)
            if file is None:
                return None
            try:
                answer = ask(file)
            except OSError:  # The disk cannot read it.
                return None
            if file.is_damaged:
                self.damaged += 1
                file.is_damaged = False
            if answer or not (file.is_gone or (waits and self._is_replaced(file))):
                return answer
            self._forget(file)
        return None

    def _is_replaced(self, file: CacheFile) -> bool:
        """Whether another file has the name now. Bytes that are missing in this one may be
        there."""
        try:
            return not file.is_same(self.place.find_status(file.segment.name))
        except (OSError, LocalFileError):
            return True

    def _find_open(self, segment: CachedSegment) -> CacheFile | None:
        with self._mutex:
            file = self._open.get(segment)
            if file is not None:
                self._open.move_to_end(segment)
            return file

    def _open_file(self, segment: CachedSegment) -> CacheFile | None:
        if not self.limit:
            return None
        try:
            file = CacheFile(segment, self.place.open_file(segment.name, OPEN))
        except (OSError, LocalFileError):
            return None
        with self._mutex:
            self._open[segment] = file
            while len(self._open) > self._open_max:
                self._open.popitem(last=False)
        return file

    def _forget(self, file: CacheFile) -> None:
        with self._mutex:
            if self._open.get(file.segment) is file:
                del self._open[file.segment]

    # --- writing ---------------------------------------------------------

    def write(self, content: Content, start: int, data: Buffer) -> bool:
        """Keep bytes of an object, which begin and end where blocks do. Whether they were kept.

        May wait for the disk and for other processes.
        """
        if not self.is_usable:
            return False
        try:
            with self._writing, self.place.locked() as (root, lock):
                account = Account(root, lock, self.limit)
                view = memoryview(data)
                for segment, low, high in iter_segments(content, start, start + len(view)):
                    at = segment.start - start
                    if not _write_segment(account, segment, low, view[at + low : at + high]):
                        return False
                return True
        except FileNotFoundError:  # Somebody is deleting the cache at this moment.
            return False
        except (OSError, LocalFileError) as error:
            self._give_up(error)
            return False

    def note_uses(self) -> None:
        """Write down which files are in use, so that others are evicted first. May wait for the
        disk."""
        with self._mutex:
            files = list(self._open.values())
        now = time.time_ns()
        for file in files:
            if file.is_used and file.is_long_unused(now):
                file.is_used = False
                with suppress(OSError):
                    file.touch()

    def _give_up(self, error: Exception) -> None:
        """Stop writing for a while, and log each new reason once."""
        self._not_before = time.monotonic() + PAUSE
        said = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        if said != self._said:
            self._said = said
            log.warning("cache %s: takes nothing at the moment: %s", self.place.path, said)

    # --- care ------------------------------------------------------------

    def measure(self) -> Usage:
        """How many files the cache has, and what they take. OSError; LocalFileError."""
        try:
            return measure(self.place.find_root())
        except FileNotFoundError:
            return Usage(0, 0)

    def clear(self) -> Usage:
        """Delete everything in the cache, and return how much that was. OSError;
        LocalFileError."""
        with self.place.locked() as (root, lock):
            return Account(root, lock, self.limit).clear()


def _write_segment(account: Account, segment: CachedSegment, start: int, data: memoryview) -> bool:
    """Write blocks of a segment. Whether there was room. OSError."""
    fd = _open_segment(account, segment)
    try:
        first = start // BLOCK
        sums = [
            segment.compute_sum(first + n, data[at : at + BLOCK])
            for n, at in enumerate(range(0, len(data), BLOCK))
        ]
        page = os.pread(fd, PAGE, segment.page_offset) if fd >= 0 else bytes(PAGE)
        there = read_sums(page, first, first + len(sums) - 1)
        missing = [n for n, (a, b) in enumerate(zip(sums, there, strict=True)) if a != b]
        # All blocks are written, also those that seem to be there, because a reader may have found
        # one damaged.
        room = sum(-(-len(data[n * BLOCK : (n + 1) * BLOCK]) // PAGE) * PAGE for n in missing)
        if not account.take(room + (OVERHEAD if fd < 0 else PAGE)):
            return False
        if fd < 0:
            fd = _make_file(account, segment)
        elif os.fstat(fd).st_size != segment.file_size:  # Making room has evicted this file, too.
            return _write_segment(account, segment, start, data)
        _write_blocks(fd, data, start)
        write_all(fd, memoryview(pack_sums(sums)), segment.find_sums_offset(first))
        return True
    finally:
        if fd >= 0:
            os.close(fd)


def _open_segment(account: Account, segment: CachedSegment) -> int:
    """Open a segment's file; -1 if there is none. Anything else that has its name is deleted."""
    try:
        fd = os.open(segment.name, _WRITE, dir_fd=account.root)
    except FileNotFoundError:
        return -1
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
        account.delete(segment.name)
        return -1
    size = os.fstat(fd).st_size
    page = os.pread(fd, PAGE, segment.page_offset) if size == segment.file_size else b""
    if segment.is_page(page):
        return fd
    os.close(fd)
    account.delete(segment.name)
    return -1


def _make_file(account: Account, segment: CachedSegment) -> int:
    with suppress(FileExistsError):
        os.mkdir(segment.name.partition("/")[0], 0o700, dir_fd=account.root)
    flags = _WRITE | os.O_CREAT | os.O_EXCL
    fd = os.open(segment.name, flags, 0o600, dir_fd=account.root)
    try:
        os.ftruncate(fd, segment.file_size)
        if os.fstat(fd).st_blocks * 512 > 2 * PAGE:
            raise OSError(errno.EOPNOTSUPP, "its file system has no sparse files")
        write_all(fd, memoryview(segment.make_page()), segment.page_offset)
    except BaseException:
        os.close(fd)
        os.unlink(segment.name, dir_fd=account.root)
        raise
    return fd


def _write_blocks(fd: int, data: memoryview, offset: int) -> None:
    """Write blocks, large ones past the page cache. OSError.

    The kernel has the pages that were just read in the mount's own cache. A second copy of them
    would cost memory, and most of the time that a write takes.
    """
    whole = len(data) // PAGE * PAGE
    done = 0
    if whole >= DIRECT_LEAST and is_aligned(data):
        done = _write_direct(fd, data[:whole], offset)
    write_all(fd, data[done:], offset + done)


def _write_direct(fd: int, data: memoryview, offset: int) -> int:
    """Write from memory to the disk. How many bytes were written; 0 if the file system cannot."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT)
        done = os.pwrite(fd, data, offset)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return 0
    finally:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)
    return done - done % PAGE
