"""The volumes of one store as a file system of paths sees them: held versions, and edits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Self

from volfs.api.client import Client, client_of, default_environment
from volfs.api.filesystem.following import follow_links
from volfs.api.reading import Version, open_version
from volfs.errors import (
    DirectoryNotEmptyError,
    EntryExistsError,
    IsADirectoryInVolumeError,
    NoEntryError,
    NotADirectoryInVolumeError,
    NotFoundError,
)
from volfs.model.entry import Entry
from volfs.model.names import Path, show_path
from volfs.model.objects import Buffer
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.location import choose_store
from volfs.volume.edit import Edit
from volfs.volume.history import get_version
from volfs.volume.leases import held_version
from volfs.volume.version_reader import read_range
from volfs.volume.volumes import create_volume, is_ephemeral


class OpenVersion:
    """A version of a volume that is held until ``close``. A context manager."""

    def __init__(self, version: Version, closing: ExitStack) -> None:
        self._version = version
        self._closing = closing
        self.snapshot = version.snapshot
        self.reader = version.reader
        self.number = version.number

    def find(self, path: Path) -> Entry | None:
        """The entry at a path; symlinks are not followed. NotADirectoryInVolumeError."""
        return self.reader.find_path(self.snapshot, path)

    def follow(self, path: Path) -> Path:
        return follow_links(self.find, path)

    def get(self, path: Path) -> Entry:
        """The entry to which a path leads, symlinks followed. NoEntryError."""
        entry = self.find(self.follow(path))
        if entry is None:
            raise NoEntryError(f"{show_path(path)}: no such file or directory")
        return entry

    def read(self, entry: Entry, start: int, end: int) -> Buffer:
        return read_range(self.reader, self._version, entry, start, end - start)

    def close(self) -> None:
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class VolumeAccess:
    """The volumes of one environment of a store. ``at`` is the version to read, as a user names it.

    FileNotFoundError if there is no such volume or version.
    """

    def __init__(self, store: str | None, environment: str | None, at: str) -> None:
        self.url = choose_store(store)
        self.environment = default_environment(environment)
        self.at = at

    @property
    def _client(self) -> Client:
        return client_of(self.url)

    def list_names(self) -> list[str]:
        with self._client.store() as store:
            known = [each for each in store.refs.list_volumes() if not is_ephemeral(each)]
        return sorted(each.name for each in known if each.environment == self.environment)

    def create(self, volume: str) -> None:
        """Make a volume. AlreadyExistsError; InvalidNameError."""
        with self._client.store(create=True) as store:
            create_volume(store, volume, environment=self.environment)

    def check(self, volume: str) -> None:
        """FileNotFoundError if there is no such volume."""
        with self._client.store() as store:
            self._get(store, volume)

    def open_tree(self, volume: str) -> OpenVersion:
        """The version ``at`` of a volume, held. The caller closes it."""
        with ExitStack() as closing:
            with self._client.store() as store:
                record = self._get(store, volume)
                find = partial(get_version, store.refs, record, self.at)
                with not_found_errors():
                    head = closing.enter_context(held_version(store, record, find))
                version = open_version(self._client, store, record, head)
            return OpenVersion(version, closing.pop_all())

    def open_edit(self, volume: str, stack: ExitStack) -> Edit:
        """An edit of a volume. It ends with the stack."""
        store = stack.enter_context(self._client.store())
        return stack.enter_context(Edit(store, self._get(store, volume)))

    def _get(self, store: Store, volume: str) -> VolumeRecord:
        with not_found_errors():
            return store.refs.get_volume(volume, self.environment)


@contextmanager
def not_found_errors() -> Iterator[None]:
    try:
        yield
    except NotFoundError as error:
        raise FileNotFoundError(str(error)) from None


@contextmanager
def file_errors() -> Iterator[None]:
    """Raise Python's own errors where a path of a volume is not as it must be."""
    try:
        yield
    except NoEntryError as error:
        raise FileNotFoundError(str(error)) from None
    except NotADirectoryInVolumeError as error:
        raise NotADirectoryError(str(error)) from None
    except IsADirectoryInVolumeError as error:
        raise IsADirectoryError(str(error)) from None
    except EntryExistsError as error:
        raise FileExistsError(str(error)) from None
    except DirectoryNotEmptyError as error:
        raise OSError(str(error)) from None
