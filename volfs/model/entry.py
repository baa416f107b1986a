"""One name in a tree, and the values inside it. Layout: docs/format.md, "Entries"."""

from __future__ import annotations

import enum
import stat
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from volfs.errors import DamagedObjectError
from volfs.model.names import NAME_MAX, is_entry_name
from volfs.model.objects import NO_OID, Oid
from volfs.model.profile import MAX_FILE_SIZE

INLINE_MAX = 1024
DIRECT_EXTENTS_MAX = 4
XATTR_TOTAL_MAX = 65_536
SYMLINK_MAX = 4095

U32 = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
U63 = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
I64 = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Size = Annotated[int, Meta(ge=0, le=1 << 62)]
Sum = Annotated[int, Meta(ge=-1, le=1 << 62)]
"""The value of a sum that a former volfs did not write."""
UNKNOWN = -1
OidBytes = Annotated[bytes, Meta(max_length=32)]


class FileKind(enum.IntEnum):
    FILE = 1
    DIRECTORY = 2
    SYMLINK = 3
    FIFO = 4
    SOCKET = 5
    CHARACTER = 6
    BLOCK = 7


TYPE_BITS: dict[int, int] = {
    FileKind.FILE: stat.S_IFREG,
    FileKind.DIRECTORY: stat.S_IFDIR,
    FileKind.SYMLINK: stat.S_IFLNK,
    FileKind.FIFO: stat.S_IFIFO,
    FileKind.SOCKET: stat.S_IFSOCK,
    FileKind.CHARACTER: stat.S_IFCHR,
    FileKind.BLOCK: stat.S_IFBLK,
}
"""The bits of ``st_mode`` that say what kind of file it is, by kind."""


class Extent(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """``length`` bytes of a file: from a chunk at ``offset``, or a hole where ``oid`` is empty."""

    length: Annotated[int, Meta(gt=0, le=1 << 62)]
    oid: OidBytes
    offset: U32


Extents = tuple[Extent, ...]


class Totals(NamedTuple):
    """Sums over everything below a directory. Hard-linked files count in the link tree instead."""

    files: int
    directories: int
    bytes: int
    subdirectories: int = 0
    """Directories directly in it. This is the only sum that is not over all levels."""
    data: int = 0
    """Bytes that are not holes, or UNKNOWN."""
    linked: int = 0
    """Names of files with hard links, or UNKNOWN."""

    @property
    def inodes(self) -> int:
        return self.files + self.directories


def add_totals(all_totals: Iterable[Totals]) -> Totals:
    """The sum. What is UNKNOWN in one is UNKNOWN in the sum."""
    files = directories = size = subdirectories = data = linked = 0
    for one in all_totals:
        files += one.files
        directories += one.directories
        size += one.bytes
        subdirectories += one.subdirectories
        data = add_known(data, one.data)
        linked = add_known(linked, one.linked)
    return Totals(files, directories, size, subdirectories, data, linked)


def add_known(a: int, b: int) -> int:
    return UNKNOWN if UNKNOWN in (a, b) else a + b


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """A name with attributes and content; immutable and canonical.

    The content of a file is one of: ``inline`` bytes (up to 1 KiB), ``extents`` (up to four), a
    chunk list at ``root``. An empty file has none of them. ``inline`` is also the target of a
    symlink, and ``root`` the tree of a directory. ``xattrs`` are in the order of their names.

    An entry with a ``group`` is one of several hard links. It says nothing else: the group's
    record in the manifest's link tree says the rest. In that record ``links`` counts the names,
    ``name`` is the group in hexadecimal, and ``group`` is 0.
    """

    name: Annotated[bytes, Meta(max_length=NAME_MAX)]
    kind: Annotated[int, Meta(ge=1, le=7)]
    mode: Annotated[int, Meta(ge=0, le=0o7777)] = 0
    uid: U32 = 0
    gid: U32 = 0
    mtime_ns: I64 = 0
    ctime_ns: I64 = 0
    size: Size = 0
    inline: Annotated[bytes, Meta(max_length=SYMLINK_MAX)] = b""
    extents: Annotated[Extents, Meta(max_length=DIRECT_EXTENTS_MAX)] = ()
    root: OidBytes = NO_OID
    group: U63 = 0
    links: U32 = 1
    rdev: U63 = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    files: Size = 0
    directories: Size = 0
    content_bytes: Size = 0
    subdirectories: Size = 0
    """Totals of a directory: files, directories and bytes of content below it, and the directories
    directly in it (its link count is two more)."""
    data_bytes: Sum = UNKNOWN
    """Bytes that are not holes: of a file's content, or of a directory's total."""
    linked: Sum = UNKNOWN
    """The number of names below a directory that are hard links."""

    @property
    def is_directory(self) -> bool:
        return self.kind == FileKind.DIRECTORY

    @property
    def tree(self) -> Oid:
        """A directory's tree."""
        return Oid(self.root)

    @property
    def totals(self) -> Totals:
        """What this entry adds to the totals of its directory."""
        if self.group:
            return Totals(0, 0, 0, linked=1)
        if self.is_directory:
            below = self.linked if self.root else 0
            return Totals(self.files, self.directories + 1, self.content_bytes, 1, self.data, below)
        return Totals(1, 0, self.size, data=self.data)

    @property
    def data(self) -> int:
        """Bytes that are not holes. Only an entry with a root may have UNKNOWN."""
        if self.root or self.data_bytes != UNKNOWN:
            return self.data_bytes
        if self.extents:
            return sum(extent.length for extent in self.extents if extent.oid)
        return 0 if self.is_directory else len(self.inline)


_decoder = msgspec.msgpack.Decoder(Entry)
_encoder = msgspec.msgpack.Encoder()
replace = msgspec.structs.replace


def with_tree(directory: Entry, tree: Oid, totals: Totals) -> Entry:
    """A directory's entry over another tree, with the totals of that tree."""
    return replace(
        directory,
        root=tree,
        files=totals.files,
        directories=totals.directories,
        content_bytes=totals.bytes,
        subdirectories=totals.subdirectories,
        data_bytes=totals.data,
        linked=totals.linked,
    )


def set_content(
    entry: Entry,
    size: int,
    *,
    inline: bytes = b"",
    extents: Extents = (),
    root: Oid = NO_OID,
    data: int = UNKNOWN,
) -> Entry:
    """A file's entry with other content. ``data`` counts the bytes of a chunk list at ``root``."""
    return with_known_sums(
        replace(entry, size=size, inline=inline, extents=extents, root=root, data_bytes=data)
    )


def with_known_sums(entry: Entry) -> Entry:
    """The entry with the sums that can be computed from the entry alone."""
    if entry.data_bytes != UNKNOWN and entry.linked != UNKNOWN:
        return entry
    linked = entry.linked if entry.is_directory and entry.root else 0
    return replace(entry, data_bytes=entry.data, linked=linked)


def with_content(entry: Entry, content: Entry) -> Entry:
    """A file's entry with the content of another."""
    return replace(
        entry,
        size=content.size,
        inline=content.inline,
        extents=content.extents,
        root=content.root,
        data_bytes=content.data_bytes,
    )


TIMES = range(-(1 << 63), 1 << 63)
"""The nanoseconds since 1970 that an entry has room for: the years 1677 to 2262."""


def to_storable_time(time_ns: int) -> int:
    """The time, or the nearest time that an entry has room for."""
    return max(TIMES.start, min(time_ns, TIMES.stop - 1))


def same_but_times(a: Entry, b: Entry) -> bool:
    """Whether two entries differ in nothing but their times."""
    return is_same(replace(a, mtime_ns=b.mtime_ns, ctime_ns=b.ctime_ns), b)


def is_same(a: Entry | None, b: Entry | None) -> bool:
    """Whether two entries say the same. Sums follow from the rest, so one entry may lack them."""
    if a == b:
        return True
    if a is None or b is None or UNKNOWN not in (a.data_bytes, a.linked, b.data_bytes, b.linked):
        return False
    return _without_sums(a) == _without_sums(b)


def _without_sums(entry: Entry) -> Entry:
    return replace(entry, data_bytes=UNKNOWN, linked=UNKNOWN)


def check_storable(entry: Entry) -> None:
    """DamagedObjectError if no reader would accept the entry: volfs never writes what it cannot
    read."""
    try:
        _decoder.decode(_encoder.encode(entry))
    except (msgspec.DecodeError, OverflowError) as error:
        raise DamagedObjectError(f"entry {entry.name!r} cannot be stored: {error}") from error
    check_entry(entry)


def check_entry(entry: Entry) -> None:
    """DamagedObjectError if no volfs could have made this entry."""
    if not is_entry_name(entry.name):
        raise DamagedObjectError(f"entry with the impossible name {entry.name!r}")
    problem = _find_problem(entry)
    if problem:
        raise DamagedObjectError(f"entry {entry.name!r}: {problem}")


def _find_problem(entry: Entry) -> str:
    if len(entry.root) not in (0, 32):
        return "impossible tree or chunk list id"
    if entry.xattrs and (problem := _find_xattrs_problem(entry.xattrs)):
        return problem
    if entry.group:
        return _find_link_problem(entry)
    if entry.kind == FileKind.FILE:
        return _find_content_problem(entry) or _find_data_problem(entry)
    if entry.extents or (entry.root and not entry.is_directory):
        return "content of a file on what is none"
    if entry.kind == FileKind.SYMLINK:
        return "" if entry.size == len(entry.inline) else "symlink target of another length"
    return "inline content on what has none" if entry.inline else ""


def _find_link_problem(entry: Entry) -> str:
    if entry.is_directory:
        return "a directory with hard links"
    return "a hard link with content" if entry.inline or entry.extents or entry.root else ""


def _find_content_problem(entry: Entry) -> str:
    if entry.size > MAX_FILE_SIZE:
        return f"a file of {entry.size} bytes"
    forms = bool(entry.inline) + bool(entry.extents) + bool(entry.root)
    if forms > 1 or bool(forms) != bool(entry.size):
        return f"{forms} forms of content for a size of {entry.size}"
    if entry.root:
        return ""
    held = len(entry.inline) + sum(extent.length for extent in entry.extents)
    if held != entry.size or len(entry.inline) > INLINE_MAX:
        return f"content of {held} bytes for a size of {entry.size}"
    return find_extents_problem(entry.extents)


def _find_data_problem(entry: Entry) -> str:
    if entry.data_bytes == UNKNOWN:
        return ""
    if entry.root:
        sound = 0 < entry.data_bytes <= entry.size
    else:
        sound = entry.data_bytes == replace(entry, data_bytes=UNKNOWN).data
    return "" if sound else f"{entry.data_bytes} bytes of data in its content"


def find_extents_problem(extents: Extents) -> str:
    """Why no volfs could have made these extents, in words; else an empty text."""
    if any(len(extent.oid) not in (0, 32) for extent in extents):
        return "impossible chunk id"
    if any(extent.offset and not extent.oid for extent in extents):
        return "a hole with an offset"
    return ""


def _find_xattrs_problem(xattrs: tuple[tuple[bytes, bytes], ...]) -> str:
    names = [name for name, _ in xattrs]
    if any(a >= b for a, b in pairwise(names)) or not all(0 < len(n) <= NAME_MAX for n in names):
        return "extended attributes out of order, or with impossible names"
    if sum(len(name) + len(value) for name, value in xattrs) > XATTR_TOTAL_MAX:
        return "extended attributes too large"
    return ""
