"""The records of files in a version that programs get: paths as text, kinds as words."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from volfs.model.entry import Entry, FileKind
from volfs.model.manifest import Snapshot
from volfs.model.names import Path, join_path
from volfs.model.tree import iter_entries
from volfs.volume.version_reader import Reader


class FileEntryType(enum.IntEnum):
    """The type of a file, by Modal's numbers. A device is UNSPECIFIED."""

    UNSPECIFIED = 0
    FILE = 1
    DIRECTORY = 2
    SYMLINK = 3
    FIFO = 4
    SOCKET = 5


@dataclass(frozen=True)
class FileEntry:
    """One name in a volume. ``path`` is relative to the volume's root, without a leading slash.

    ``mtime`` is in seconds since 1970, ``size`` in bytes. The size of a directory is that of all
    files below it. Bytes of a path that are not UTF-8 become surrogates, as with ``os.fsdecode``.
    """

    path: str
    type: FileEntryType
    mtime: int
    size: int


@dataclass(frozen=True)
class FileStat:
    """All that a version says of one name. ``target`` is that of a symlink, else None."""

    path: str
    type: FileEntryType
    size: int
    mode: int
    """The permission bits, without the type."""
    uid: int
    gid: int
    mtime_ns: int
    ctime_ns: int
    links: int
    target: str | None


def iter_listing(
    reader: Reader, snapshot: Snapshot, path: Path, *, recursive: bool
) -> Iterator[FileEntry]:
    """Yield the names in a directory, in order; with ``recursive`` also those below, directories
    first.

    For anything but a directory, yields that itself. NoEntryError; NotADirectoryInVolumeError;
    DataError.
    """
    top = reader.get_path(snapshot, path)
    if not top.is_directory:
        yield _describe(path, top)
        return
    # An explicit stack, because directories may be nested deeper than Python's calls.
    stack = [(path, iter_entries(reader.get_tree, top.tree))]
    while stack:
        above, entries = stack[-1]
        raw = next(entries, None)
        if raw is None:
            stack.pop()
            continue
        here = (*above, raw.name)
        yield _describe(here, reader.resolve(snapshot, raw))
        if recursive and raw.is_directory:
            stack.append((here, iter_entries(reader.get_tree, raw.tree)))


def _describe(path: Path, entry: Entry) -> FileEntry:
    size = entry.content_bytes if entry.is_directory else entry.size
    return FileEntry(to_text(path), find_type(entry), entry.mtime_ns // 10**9, size)


def describe_stat(path: Path, entry: Entry) -> FileStat:
    """The record of ``entry``, whose link group is resolved already."""
    is_link = entry.kind == FileKind.SYMLINK
    return FileStat(
        to_text(path),
        find_type(entry),
        entry.content_bytes if entry.is_directory else entry.size,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime_ns,
        entry.ctime_ns,
        entry.subdirectories + 2 if entry.is_directory else entry.links,
        _decode(entry.inline) if is_link else None,
    )


def find_type(entry: Entry) -> FileEntryType:
    known = entry.kind <= FileKind.SOCKET
    return FileEntryType(entry.kind) if known else FileEntryType.UNSPECIFIED


def to_text(path: Path) -> str:
    """A path as text, as in a ``FileEntry``. The root is ``.``."""
    return _decode(join_path(path))


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
