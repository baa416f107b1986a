"""Reading a version of a volume without a mount: the parts that Volume and ``Volume.at`` have in
common."""

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
    """The number of files and directories below a directory, without itself. ``bytes`` is the size
    of the files."""

    files: int
    directories: int
    bytes: int


@dataclass(frozen=True)
class Version:
    """One opened version of a volume: its number, and its snapshot."""

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
        """A new reader. It uses the store only while it loads, so an iteration may be left
        unfinished."""
        return Reader(self.load_object)


class Readable:
    """A volume, or a version of one, that can be read. Paths start at the root of the volume, with
    or without a leading slash."""

    @property
    def client(self) -> Client:
        raise NotImplementedError

    def _opened(self) -> AbstractContextManager[tuple[Store, VolumeRecord]]:
        """For a ``with`` block: the store, and the volume as it is now. NotFoundError."""
        raise NotImplementedError

    def _find_head(self, store: Store, record: VolumeRecord) -> Head:
        """The version to read. NotFoundError."""
        return store.refs.get_head(record.id)

    @contextmanager
    def _reading(self) -> Iterator[Version]:
        """Hold the version for the block, so that it stays whole whatever is expired and
        collected."""
        with ExitStack() as stack:
            with self._opened() as (store, record):
                find = partial(self._find_head, store, record)
                head = stack.enter_context(held_version(store, record, find))
                version = open_version(self.client, store, record, head)
            yield version

    @blocking_iterator
    def iterdir(self, path: str, *, recursive: bool = True) -> Iterator[FileEntry]:
        """The entries of a directory, and with ``recursive`` those below it. For a file, the file
        itself.

        NotFoundError; InvalidError for a pattern. Errors are raised at the first step.
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
        """As ``iterdir``, as a list."""
        return list(self.iterdir(path, recursive=recursive))

    @blocking_iterator
    def read_file(self, path: str) -> Iterator[bytes]:
        """The bytes of a file in blocks of up to 1 MiB, all of one version, whatever is committed
        meanwhile.

        FileNotFoundError; IsADirectoryError; DataError for bytes that differ from those written.
        """
        with self._reading() as version:
            entry = _get_file(version, path)
            for block in iter_content_bytes(version.reader, version, entry):
                yield bytes(block)

    @blocking
    def read_file_into_fileobj(
        self, path: str, fileobj: IO[bytes], progress_cb: Callable[..., Any] | None = None
    ) -> int:
        """Write the bytes of a file into ``fileobj`` at its position, and return their number.

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
        """Whether there is an entry of this name. For a symlink, its target does not matter."""
        with self._reading() as version:
            try:
                return version.reader.find_path(version.snapshot, parse_path(path)) is not None
            except NotADirectoryInVolumeError:
                return False

    @blocking
    def stat(self, path: str) -> FileStat:
        """The kind, size, mode, owner and times of an entry. FileNotFoundError."""
        where = parse_path(path)
        with self._reading() as version:
            return describe_stat(where, _get(version, where))

    @blocking
    def usage(self, path: str = "/") -> DirectoryUsage:
        """The size of everything below a directory, at once, whatever its size. FileNotFoundError.

        A file with several names is counted only in the usage of the root, and once there.
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
    """Open a version. DataError if its manifest is missing or damaged."""
    manifest = load_manifest(store.objects_of(record.id), head.manifest)
    return Version(client, record.id, head.version, manifest.snapshot)


@contextmanager
def path_errors(missing: type[Exception]) -> Iterator[None]:
    """Raise ``missing`` for a path that leads nowhere, and InvalidError for a directory that is
    not allowed."""
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
