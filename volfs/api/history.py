"""The versions of a volume: looking at them, naming them, restoring them. Modal has none of
this."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from volfs.api.client import Client
from volfs.api.reading import Readable
from volfs.api.resource import local_time
from volfs.api.twins import blocking
from volfs.model.changes import Change, iter_changes
from volfs.model.entry import Entry
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.history import (
    VersionRecord,
    create_tag,
    get_version,
    iter_history,
    list_tags_by_version,
)
from volfs.volume.listing import FileEntryType, find_type, to_text

VersionName = int | str
"""A version: its number, a tag, ``head``, or one of these with ``~N`` behind it."""


@dataclass(frozen=True)
class VersionInfo:
    """One line of a volume's history."""

    version: int
    created_at: datetime
    message: str
    author: str
    files: int
    directories: int
    bytes: int
    auto: bool
    """Whether a background commit made it."""
    tags: tuple[str, ...]


@dataclass(frozen=True)
class FileChange:
    """A path that differs between two versions. Sizes are in bytes; None for a directory, and for
    a path that is absent."""

    change: str
    """``added``, ``deleted``, ``modified``, ``type changed`` or ``attributes``."""
    path: str
    type: FileEntryType
    old_size: int | None
    size: int | None
    attributes: tuple[str, ...]
    """The attributes that differ: ``mode``, ``owner``, ``xattrs``, ``mtime``."""


class VolumeAt(Readable):
    """One version of a volume, for reading. Later commits are not in it."""

    def __init__(self, volume: Historical, named: VersionName) -> None:
        self._volume = volume
        self._named = named
        self._head: Head | None = None

    def __repr__(self) -> str:
        return f"{self._volume!r}.at({self._named!r})"

    @property
    def version(self) -> int:
        """The version's number. It stays the same, even if a tag moves later. NotFoundError."""
        with self._volume._opened() as (store, record):
            return self._find_head(store, record).version

    @property
    def client(self) -> Client:
        return self._volume.client

    def _opened(self) -> AbstractContextManager[tuple[Store, VolumeRecord]]:
        return self._volume._opened()

    def _find_head(self, store: Store, record: VolumeRecord) -> Head:
        if self._head is None:
            self._head = get_version(store.refs, record, str(self._named))
        return self._head


class Historical(Readable):
    """A volume's head, and all versions before it that have not expired."""

    # --- looking ---------------------------------------------------------

    def at(self, version: VersionName) -> VolumeAt:
        """A version for reading: ``listdir``, ``read_file`` and so on. NotFoundError at its first
        use."""
        return VolumeAt(self, version)

    @blocking
    def log(self, max_versions: int | None = None) -> list[VersionInfo]:
        """The versions, newest first, without the empty one with which the volume began."""
        with self._opened() as (store, record):
            tags = list_tags_by_version(store.refs, record)
            rows = islice(iter_history(store, record), max_versions)
            return [_describe(row, tags.get(row.version, [])) for row in rows]

    @blocking
    def diff(self, old: VersionName, new: VersionName = "head") -> list[FileChange]:
        """The paths that differ between two versions, in order. NotFoundError."""
        with self.at(old)._reading() as a, self.at(new)._reading() as b:
            changes = iter_changes(a.reader.get_tree, a.snapshot, b.snapshot)
            return [_describe_change(change) for change in changes]

    # --- naming ----------------------------------------------------------

    @blocking
    def tag(self, name: str, version: VersionName = "head", *, move: bool = False) -> int:
        """Name a version, which then never expires, and return its number.

        InvalidError for a bad name; AlreadyExistsError if the tag names another version and
        ``move`` is False; NotFoundError.
        """
        with self._opened() as (store, record):
            head = get_version(store.refs, record, str(version))
            create_tag(store.refs, record, name, head, move=move)
            return head.version

    @blocking
    def tags(self) -> dict[str, int]:
        """The tags, each with the version that it names."""
        with self._opened() as (store, record):
            return dict(store.refs.list_tags(record.id))

    @blocking
    def delete_tag(self, name: str) -> None:
        """Delete a tag. The version stays. NotFoundError."""
        with self._opened() as (store, record):
            store.refs.delete_tag(record.id, name)


def _describe(row: VersionRecord, tags: list[str]) -> VersionInfo:
    return VersionInfo(
        row.version,
        local_time(row.created_ns),
        row.message,
        row.author,
        row.files,
        row.directories,
        row.bytes,
        row.auto,
        tuple(tags),
    )


def _describe_change(change: Change) -> FileChange:
    return FileChange(
        change.kind.words,
        to_text(change.path),
        find_type(change.entry),
        _size(change.old),
        _size(change.new),
        tuple(change.attributes),
    )


def _size(entry: Entry | None) -> int | None:
    return None if entry is None or entry.is_directory else entry.size
