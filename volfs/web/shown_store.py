"""What a store and its mounts are, as pages show it. Blocking; each call may be made in any
thread."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from volfs.control.mount_client import MountClient
from volfs.control.protocol import ChangesResult
from volfs.errors import DataError, NotFoundError
from volfs.metrics.seen_mounts import SeenMount, look
from volfs.model.changes import Change, iter_changes
from volfs.model.entry import Entry
from volfs.model.manifest import Snapshot
from volfs.model.names import MAIN, Path, split_name
from volfs.model.objects import Buffer
from volfs.model.tree import iter_entries
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.history import (
    Folded,
    VersionRecord,
    describe_version,
    fold_automatic,
    get_version,
    iter_history,
    list_tags_by_version,
    load_manifest,
)
from volfs.volume.leases import held_version
from volfs.volume.version_reader import Reader, read_range

VERSIONS = 60
"""Versions on one page of a history."""
FOLDED_MAX = 2000
"""The most versions that one page of a history looks at."""
ENTRIES = 500
CHANGES = 1000
CHANGES_TIMEOUT = 15.0
_FORK = re.compile(r"fork of (\S+) at version (\d+)")


class ShownVolume(NamedTuple):
    """A volume and its newest version, which is None if it cannot be read or if there is none
    yet."""

    record: VolumeRecord
    newest: VersionRecord | None
    problem: str = ""


class ForkOf(NamedTuple):
    """A volume that began with a version of another one."""

    record: VolumeRecord
    source: str
    version: int


class HistoryPage(NamedTuple):
    versions: list[Folded]
    tags: dict[int, list[str]]
    forks: dict[int, list[VolumeRecord]]
    origin: ForkOf | None
    older: int | None
    """The next page has the versions below this one. None if there are no more."""


class ShownVersion:
    """A version while it is held: its tree, and the bytes of its files."""

    def __init__(self, store: Store, record: VolumeRecord, head: Head) -> None:
        self.record = record
        self.head = head
        self._objects = store.objects_of(record.id)
        self.reader = Reader(self._objects.load_object)
        manifest = self.reader.load_manifest(head.manifest)
        self.info = describe_version(head, manifest)
        self.snapshot: Snapshot = manifest.snapshot

    def get(self, path: Path) -> Entry:
        return self.reader.get_path(self.snapshot, path)

    def find(self, path: Path) -> Entry | None:
        try:
            return self.reader.find_path(self.snapshot, path)
        except NotFoundError:
            return None

    def read(self, entry: Entry, offset: int, length: int) -> Buffer:
        return read_range(self.reader, self._objects, entry, offset, length)

    def list_entries(self, directory: Entry, skip: int) -> list[Entry]:
        """One page of names, and one name more if there are any."""
        entries = iter_entries(self.reader.get_tree, directory.tree)
        page = islice(entries, skip, skip + ENTRIES + 1)
        return [self.reader.resolve(self.snapshot, entry) for entry in page]


class ShownStore:
    """The store that pages are about."""

    def __init__(self, store: Store) -> None:
        self.store = store

    # --- volumes ---------------------------------------------------------

    def list_volumes(self) -> list[ShownVolume]:
        return [self._describe(record) for record in self.store.refs.list_volumes()]

    def _describe(self, record: VolumeRecord) -> ShownVolume:
        try:
            head = self.store.refs.get_head(record.id)
            manifest = load_manifest(self.store.objects_of(record.id), head.manifest)
        except (DataError, NotFoundError) as error:
            return ShownVolume(record, None, str(error))
        return ShownVolume(record, describe_version(head, manifest) if head.version else None)

    def get_volume(self, environment: str, name: str) -> VolumeRecord:
        return self.store.refs.get_volume(name, environment)

    def page_history(
        self, record: VolumeRecord, before: int | None, *, is_folded: bool
    ) -> HistoryPage:
        """The versions below one, newest first."""
        tags = list_tags_by_version(self.store.refs, record)
        versions = (
            v for v in iter_history(self.store, record) if before is None or v.version < before
        )
        limited = list(islice(versions, FOLDED_MAX if is_folded else VERSIONS + 1))
        shown = fold_automatic(limited, tags) if is_folded else (Folded(v, 0) for v in limited)
        page = list(shown)
        is_more = len(page) > VERSIONS or len(limited) == FOLDED_MAX
        page = page[:VERSIONS]
        older = find_last(limited, page[-1]) if page and is_more else None
        forks, origin = self._find_forks(record)
        return HistoryPage(page, tags, forks, origin, older)

    def find_previous(self, record: VolumeRecord, page: HistoryPage) -> dict[int, int]:
        """By each version of a page, the version to compare it with: the newest older one that is
        there and that is not folded into it."""
        there = [head.version for head in self.store.refs.iter_versions(record.id)]
        shown = [item.info.version for item in page.versions]
        hidden = {item.info.version: item.hidden for item in page.versions}
        found = {}
        for version in shown:
            at = there.index(version) + 1 + hidden[version] if version in there else len(there)
            found[version] = there[at] if at < len(there) else there[-1]
        return found

    def _find_forks(
        self, record: VolumeRecord
    ) -> tuple[dict[int, list[VolumeRecord]], ForkOf | None]:
        """The forks of a volume by version, and what the volume itself is a fork of."""
        forks: dict[int, list[VolumeRecord]] = {}
        origin = self._find_origin(record)
        for other in self.store.refs.list_volumes():
            found = self._find_origin(other) if other.id != record.id else None
            if found and found.source == record.full_name and self._is_true(record, found):
                forks.setdefault(found.version, []).append(other)
        return forks, origin

    def _find_origin(self, record: VolumeRecord) -> ForkOf | None:
        """What a volume is a fork of, as the message of its version 1 says."""
        first = self.store.refs.find_version(record.id, 1)
        if first is None:
            return None
        try:
            message = load_manifest(self.store.objects_of(record.id), first).message
        except DataError:
            return None
        match = _FORK.fullmatch(message)
        return ForkOf(record, match[1], int(match[2])) if match else None

    def _is_true(self, source: VolumeRecord, fork: ForkOf) -> bool:
        """Whether the two versions have the same content: anybody may write such a message."""
        old = self.store.refs.find_version(source.id, fork.version)
        new = self.store.refs.find_version(fork.record.id, 1)
        if old is None or new is None:
            return False
        try:
            before = load_manifest(self.store.objects_of(source.id), old)
            after = load_manifest(self.store.objects_of(fork.record.id), new)
        except DataError:
            return False
        return before.snapshot == after.snapshot

    # --- versions --------------------------------------------------------

    @contextmanager
    def opened(self, record: VolumeRecord, version: str) -> Iterator[ShownVersion]:
        """A version, held while the block runs. NotFoundError; DataError."""
        refs = self.store.refs
        with held_version(self.store, record, lambda: get_version(refs, record, version)) as head:
            yield ShownVersion(self.store, record, head)

    def compare(self, old: ShownVersion, new: ShownVersion) -> tuple[list[Change], bool]:
        """The first changes between two versions, and whether there are more."""
        found = list(
            islice(iter_changes(new.reader.get_tree, old.snapshot, new.snapshot), CHANGES + 1)
        )
        return found[:CHANGES], len(found) > CHANGES

    # --- mounts ----------------------------------------------------------

    def list_mounts(self) -> list[SeenMount]:
        """The mounts of this machine, those of this store first."""
        return sorted(look(), key=lambda seen: (not self.is_of_store(seen), seen.mount.path))

    def is_of_store(self, seen: SeenMount) -> bool:
        return seen.status is not None and seen.status.store == self.store.url

    def list_mounts_of(self, record: VolumeRecord) -> list[SeenMount]:
        return [
            seen
            for seen in self.list_mounts()
            if self.is_of_store(seen) and seen.status and seen.status.volume_id == record.id
        ]

    def get_mount(self, device: str) -> SeenMount:
        """The mount with a device number. NotFoundError."""
        for seen in self.list_mounts():
            if identify(seen) == device:
                return seen
        raise NotFoundError("this mount is not there any more")

    def list_uncommitted(self, seen: SeenMount) -> ChangesResult:
        """What a mount has not committed. MountError."""
        return MountClient(seen.mount).list_changes(CHANGES_TIMEOUT)


def identify(seen: SeenMount) -> str:
    """The device number of a mount as a word for addresses."""
    return "{}-{}".format(*seen.mount.device)


def find_last(versions: list[VersionRecord], folded: Folded) -> int:
    """The oldest version that is folded into another one. Numbers between them may be missing,
    because versions expire."""
    numbers = [info.version for info in versions]
    return numbers[numbers.index(folded.info.version) + folded.hidden]


def split_full(name: str) -> tuple[str, str]:
    """The environment and the name of a full name."""
    environment, alone = split_name(name)
    return environment or MAIN, alone
