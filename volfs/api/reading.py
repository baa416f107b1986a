"""Reading a version of a volume, without a mount: what Volume and ``Volume.at`` have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

from volfs.api.client import Client
from volfs.api.twins import blocking, blocking_iterator
from volfs.errors import (
    InvalidError,
    IsADirectoryInVolumeError,
    NoEntryError,
    NotADirectoryInVolumeError,
    NotFoundError,
)
from volfs.model.entry import Entry, FileKind
from volfs.model.manifest import Snapshot
from volfs.model.names import Path, parse_path, show_path
from volfs.model.objects import Oid
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.system.files import write_out
from volfs.volume.history import load_manifest
from volfs.volume.leases import held_version
from volfs.volume.listing import FileEntry, FileStat, describe_stat, iter_listing
from volfs.volume.version_reader import Reader, iter_content_bytes


@dataclass(frozen=True)
class DirectoryUsage:
    """What lies below a directory, itself not counted. ``bytes`` are those of files."""

    files: int
    directories: int
    bytes: int


@dataclass(frozen=True)
class Version:
    """One version of a volume, opened: its number and what it consists of."""

    client: Client
    volume_id: str
    number: int
    snapshot: Snapshot

    def load_object(self, oid: Oid) -> bytes:
        with self.client.store() as store:
            return store.objects_of(self.volume_id).load_object(oid)

    def read_object(self, oid: Oid, offset: int, length: int) -> bytes:
        with self.client.store() as store:
            return bytes(store.objects_of(self.volume_id).read_object(oid, offset, length))

    @property
    def reader(self) -> Reader:
        """A new one. It has the store only while it loads: an iteration may be left half way."""
        return Reader(self.load_object)


class Readable:
    """Paths are from the root of the volume, with a slash in front or without."""

    @property
    def client(self) -> Client:
        raise NotImplementedError

    def _opened(self) -> AbstractContextManager[tuple[Store, VolumeRecord]]:
        """For a ``with`` block: the store, and the volume as it is now. NotFoundError."""
        raise NotImplementedError

    def _find_head(self, store: Store, record: VolumeRecord) -> Head:
        """Which version is read. NotFoundError."""
        return store.refs.get_head(record.id)

    @contextmanager
    def _reading(self) -> Iterator[Version]:
        """The version, which stays whole for the block, whatever is expired and collected."""
        with ExitStack() as stack:
            with self._opened() as (store, record):
                find = partial(self._find_head, store, record)
                head = stack.enter_context(held_version(store, record, find))
                version = open_version(self.client, store, record, head)
            yield version

    @blocking_iterator
    def iterdir(self, path: str, *, recursive: bool = True) -> Iterator[FileEntry]:
        """What is in a directory, and with ``recursive`` below; of a file, itself.

        NotFoundError; InvalidError for a pattern; all at the first step.
        """
        if path.endswith("*"):
            raise InvalidError(
                "Glob patterns in `volume get` and `Volume.listdir()` are deprecated. "
                "Please pass recursive=True instead, and select from what it gives."
            )
        with path_errors(NotFoundError), self._reading() as version:
            where = parse_path(path)
            yield from iter_listing(version.reader, version.snapshot, where, recursive=recursive)

    @blocking
    def listdir(self, path: str, *, recursive: bool = False) -> list[FileEntry]:
        """As ``iterdir``, all at once."""
        return list(self.iterdir(path, recursive=recursive))

    @blocking_iterator
    def read_file(self, path: str) -> Iterator[bytes]:
        """A file's bytes in blocks of up to 1 MiB, of one version, whatever is committed meanwhile.

        FileNotFoundError; IsADirectoryError; DataError for bytes that are not those written.
        """
        with self._reading() as version:
            entry = _get_file(version, path)
            for block in iter_content_bytes(version.reader, version, entry):
                yield bytes(block)

    @blocking
    def read_file_into_fileobj(
        self, path: str, fileobj: IO[bytes], progress_cb: Callable[..., Any] | None = None
    ) -> int:
        """Write a file's bytes from where ``fileobj`` stands; how many they were.

        ``progress_cb(advance=n)`` is called after each ``n`` bytes. Errors as of ``read_file``.
        """
        total = 0
        for block in self.read_file(path):
            write_out(fileobj, block)
            total += len(block)
            if progress_cb is not None:
                progress_cb(advance=len(block))
        return total

    @blocking
    def exists(self, path: str) -> bool:
        """Whether there is anything of this name; of a symlink, not whether it leads anywhere."""
        with self._reading() as version:
            try:
                return version.reader.find_path(version.snapshot, parse_path(path)) is not None
            except NotADirectoryInVolumeError:
                return False

    @blocking
    def stat(self, path: str) -> FileStat:
        """Kind, size, mode, owner, times of what has this name. FileNotFoundError."""
        where = parse_path(path)
        with self._reading() as version:
            return describe_stat(where, _get(version, where))

    @blocking
    def usage(self, path: str = "/") -> DirectoryUsage:
        """How much lies below a directory, at once, whatever its size. FileNotFoundError.

        A file with several names counts for the root alone, and there once.
        """
        where = parse_path(path)
        with self._reading() as version:
            entry = _get(version, where)
        if not where:
            totals = version.snapshot.totals
            return DirectoryUsage(totals.files, totals.directories, totals.bytes)
        if not entry.is_directory:
            return DirectoryUsage(1, 0, entry.size)
        return DirectoryUsage(entry.files, entry.directories, entry.content_bytes)


def open_version(client: Client, store: Store, record: VolumeRecord, head: Head) -> Version:
    """DataError where its manifest is missing or damaged."""
    manifest = load_manifest(store.objects_of(record.id), head.manifest)
    return Version(client, record.id, head.version, manifest.snapshot)


@contextmanager
def path_errors(missing: type[Exception]) -> Iterator[None]:
    """A path that leads nowhere as ``missing``."""
    try:
        yield
    except (NoEntryError, NotADirectoryInVolumeError) as error:
        raise missing(str(error)) from None
    except IsADirectoryInVolumeError as error:
        raise InvalidError(str(error)) from None


def _get(version: Version, path: Path) -> Entry:
    with path_errors(FileNotFoundError):
        return version.reader.get_path(version.snapshot, path)


def _get_file(version: Version, path: str) -> Entry:
    where = parse_path(path)
    entry = _get(version, where)
    if entry.is_directory:
        raise IsADirectoryError(f"{show_path(where)}: is a directory")
    if entry.kind != FileKind.FILE:
        raise InvalidError(f"{show_path(where)}: not a file; nothing can be read from it")
    return entry
