"""``volfs.NetworkFileSystem``: files that all containers share at once, in Modal's shape.

Modal calls it deprecated. Here it is kept, without a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar, Self

from volfs.api import mount_rules
from volfs.api.batch_upload import AnyPath, BatchUpload
from volfs.api.client import Client, default_environment, find_client
from volfs.api.deprecated import warn_of
from volfs.api.known_volumes import KnownVolumes, get_record
from volfs.api.reading import Readable, path_errors
from volfs.api.resource import Ephemeral, KnownResources, NamedHandle, ResourceInfo
from volfs.api.twins import Twin, blocking, blocking_iterator, opening_class
from volfs.model.names import parse_path
from volfs.model.progress import Report
from volfs.services.resources import NETWORK, check_name
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.listing import FileEntry
from volfs.volume.local_content import ByteStream
from volfs.volume.local_listing import Local
from volfs.volume.put import put_files

Advance = Callable[..., Any]
"""A function that is called with ``advance=`` a number of bytes."""
_GLOBS = frozenset("*?[")
NOTE = CommitNote(auto=True)


class NetworkFileSystemInfo(ResourceInfo):
    """Name, creation time and creator of a NetworkFileSystem."""


class NetworkFileSystem(NamedHandle):
    """A handle on a network file system. What it writes is visible at once, also in containers
    that have it mounted.

    Paths start at the root, with or without a leading slash.
    """

    _kind = NETWORK
    _info = NetworkFileSystemInfo
    mounts_as = mount_rules.NETWORK_FILE_SYSTEM

    @classmethod
    def _open(cls, client: Client, *, create: bool = False) -> KnownResources:
        return KnownVolumes(client, kind=NETWORK)

    # --- making handles --------------------------------------------------

    @classmethod
    def persist(cls, label: str, *, environment_name: str | None = None) -> Self:
        """``from_name`` with ``create_if_missing``. Warns with DeprecationError."""
        instead = "NetworkFileSystem.from_name(name, create_if_missing=True)"
        warn_of("NetworkFileSystem.persist", instead)
        return cls.from_name(label, environment_name=environment_name, create_if_missing=True)

    persisted = persist

    @opening_class
    @classmethod
    def ephemeral(
        cls, client: Client | None = None, environment_name: str | None = None
    ) -> Ephemeral[Self]:
        """A NetworkFileSystem without a name, for a ``with`` or ``async with`` block."""
        return Ephemeral(cls, environment_name, client)

    create_deployed: ClassVar[Twin[..., str]]
    delete: ClassVar[Twin[..., None]]

    # --- reading ---------------------------------------------------------

    @blocking_iterator
    def read_file(self, path: str) -> Iterator[bytes]:
        """The bytes of a file, block by block. FileNotFoundError; IsADirectoryError."""
        yield from _Newest(self).read_file(path)

    @blocking_iterator
    def iterdir(self, path: str) -> Iterator[FileEntry]:
        """The entries of a directory, with paths relative to it. For a file, the file itself.

        For a pattern with ``*``, ``?``, ``[…]`` or ``**``, everything that matches, with absolute
        paths. NotFoundError.
        """
        names = PurePosixPath("/", path).parts[1:]
        if any(_GLOBS & {*name} for name in names):
            yield from self._match(names)
            return
        top = "/".join(names)
        for entry in _Newest(self).iterdir(top, recursive=False):
            yield replace(entry, path=entry.path.removeprefix(f"{top}/" if top else ""))

    @blocking
    def listdir(self, path: str) -> list[FileEntry]:
        """As ``iterdir``, as a list."""
        return list(self.iterdir(path))

    def _match(self, pattern: tuple[str, ...]) -> Iterator[FileEntry]:
        first = next(at for at, name in enumerate(pattern) if _GLOBS & {*name})
        for entry in _Newest(self).iterdir("/".join(pattern[:first])):
            if _matches(pattern, PurePosixPath(entry.path).parts):
                yield replace(entry, path=f"/{entry.path}")

    # --- changing --------------------------------------------------------

    @blocking
    def write_file(self, remote_path: str, fp: BinaryIO, progress_cb: Advance | None = None) -> int:
        """Write the whole contents of a file object, from its beginning, to a file, and return the
        number of bytes.

        The file is written whole or not at all. Missing directories above it are made.
        FileExistsError for a directory; NotADirectoryError for a path below a file.
        """
        return self._put(lambda batch: batch.put_file(fp, remote_path), progress_cb)

    @blocking
    def add_local_file(
        self,
        local_path: AnyPath,
        remote_path: str | PurePosixPath | None = None,
        progress_cb: Advance | None = None,
    ) -> int:
        """Write a local file with its mode, by default to ``/`` and its name, and return the
        number of bytes.

        FileNotFoundError; IsADirectoryError; and errors as of ``write_file``.
        """
        local = Path(local_path)
        remote = remote_path or PurePosixPath("/", local.name)
        return self._put(lambda batch: batch.put_file(local, remote), progress_cb)

    @blocking
    def add_local_dir(
        self,
        local_path: AnyPath,
        remote_path: str | PurePosixPath | None = None,
        progress_cb: Advance | None = None,
    ) -> None:
        """Write the files in and below a local directory, by default to ``/`` and its name.

        The files appear all at once. AssertionError if it is not a directory.
        """
        local = Path(local_path).absolute()
        remote = remote_path or PurePosixPath("/", local.name)
        self._put(lambda batch: batch.put_directory(local, remote), progress_cb)

    @blocking
    def remove_file(self, path: str, recursive: bool = False) -> None:
        """Remove a file, or with ``recursive`` a directory and everything below it.

        FileNotFoundError; InvalidError for a directory without ``recursive``.
        """
        with self._opened() as (store, record), Edit(store, record) as edit:
            with path_errors(FileNotFoundError):
                edit.remove(parse_path(path), recursive=recursive)
            edit.commit(NOTE)

    # --- inside ----------------------------------------------------------

    @contextmanager
    def _opened(self) -> Iterator[tuple[Store, VolumeRecord]]:
        object_id = self.object_id
        with self.client.store() as store:
            yield store, get_record(store, object_id, NETWORK)

    def _put(self, add: Callable[[BatchUpload], None], progress_cb: Advance | None) -> int:
        """Commit what ``add`` adds as one version, and return the number of bytes."""
        written = 0

        def upload(
            files: list[Local], streams: list[ByteStream], force: bool, report: Report
        ) -> None:
            nonlocal written
            with self._opened() as (store, record):
                done = put_files(store, record, files, streams, force=force, note=NOTE)
            written = done.bytes

        with BatchUpload(upload, force=True) as batch:
            add(batch)
        if progress_cb is not None:
            progress_cb(advance=written)
        return written


class _Newest(Readable):
    """The files of a network file system, read from the newest version at each call."""

    def __init__(self, files: NetworkFileSystem) -> None:
        self._files = files

    @property
    def client(self) -> Client:
        return self._files.client

    def _opened(self) -> AbstractContextManager[tuple[Store, VolumeRecord]]:
        return self._files._opened()


def _matches(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether a path matches a pattern. ``**`` stands for any number of names, and as the last
    name for at least one. There is no recursion, because paths may be deep."""
    end = len(pattern)
    reached = _pass_by(pattern, {0})
    for name in path:
        after: set[int] = set()
        for at in reached - {end}:
            if pattern[at] == "**":
                after |= {at, end} if at == end - 1 else {at}
            elif fnmatchcase(name, pattern[at]):
                after.add(at + 1)
        reached = _pass_by(pattern, after)
    return end in reached


def _pass_by(pattern: tuple[str, ...], reached: set[int]) -> set[int]:
    """The places in a pattern that are reached, together with those after a ``**`` that stands for
    no name."""
    for at, name in enumerate(pattern[:-1]):
        if at in reached and name == "**":
            reached = reached | {at + 1}
    return reached


# --- without a handle -------------------------------------------------------


def _create_deployed(
    deployment_name: str, client: Client | None = None, environment_name: str | None = None
) -> str:
    """Make a file system with this name and return its id. AlreadyExistsError; InvalidError for a
    bad name."""
    check_name("NetworkFileSystem", deployment_name)
    known = KnownVolumes(find_client(client), kind=NETWORK)
    return known.create(deployment_name, default_environment(environment_name)).id


def _delete(name: str, client: Client | None = None, environment_name: str | None = None) -> None:
    """Remove a file system with its whole history. NotFoundError; InvalidError for a Volume's
    name."""
    known = KnownVolumes(find_client(client), kind=NETWORK)
    known.delete(name, default_environment(environment_name))


NetworkFileSystem.create_deployed = Twin(_create_deployed)
NetworkFileSystem.delete = Twin(_delete)
