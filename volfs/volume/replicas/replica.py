"""The receiving end: a replica in a store, to which versions are added one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from volfs.errors import ConflictError, DamagedObjectError, InvalidError
from volfs.model.manifest import decode_manifest, encode_manifest
from volfs.model.names import check_environment, check_volume_name
from volfs.model.objects import Kind, Oid, compute_oid
from volfs.model.references import iter_manifest_references
from volfs.store.contract.objects import Upload
from volfs.store.contract.refs import Head, Tag, VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.origin import find_record
from volfs.volume.volumes import make_first_version


class ReplicaName(NamedTuple):
    """What a replica is to be called. None stands for what the original is called."""

    name: str | None = None
    environment: str | None = None


class Replica:
    """A volume of ``store`` with the id of another store's volume."""

    def __init__(self, store: Store, record: VolumeRecord, first: Oid | None) -> None:
        self.store = store
        self.record = record
        self._first = first
        """The manifest of the original's version 0, if that is still there."""

    @property
    def head(self) -> Head:
        return self.store.refs.get_head(self.record.id)

    def find_newer(self, versions: list[Head], *, force: bool = False) -> list[Head]:
        """Those of the original's ``versions``, in ascending order, that follow on the replica's
        head.

        ConflictError if the replica has gone its own way, or may have: the original has expired
        the version of the replica's head. With ``force``, that second case is no error.
        """
        head = self.head
        numbered = dict(versions)
        known = numbered.get(head.version)
        newer = [version for version in versions if version.version > head.version]
        if known == head.manifest or head.version == 0:
            return newer
        if known is None and newer:
            if not force:
                raise ConflictError(self._describe_gap(head))
            return newer
        if known is None and versions and self._has(versions[-1]):
            return []  # The replica is ahead.
        raise ConflictError(self._describe_parting(head))

    def find_newest(self, versions: list[Head]) -> int:
        """The number of the last of the original's ``versions`` that the replica has; -1 if it has
        none."""
        return next((head.version for head in reversed(versions) if self._has(head)), -1)

    def open_upload(self) -> Upload:
        return self.store.open_upload(self.record.id)

    def load(self, oid: Oid) -> bytes:
        """The bytes of an object that the replica has. DataError; StoreError."""
        return self.store.objects_of(self.record.id).load_object(oid)

    def publish(self, upload: Upload, after: Head, version: Head) -> None:
        """Add a version after the replica's head ``after``. Its objects are in the upload.

        HeadMovedError if the head is another one by now; DamagedObjectError if the manifest is
        that of another version; the errors of ``Refs.publish``.
        """
        self._check_manifest(upload, version)
        self.store.refs.publish(upload, self.record.id, after, version)
        if after.version == 0 and after.manifest != self._first:
            # It stood in for a version 0 that the original has no more.
            self.store.refs.remove_versions(self.record.id, (0,))

    def take_tags(
        self, tags: Iterable[Tag], originals: Mapping[int, Oid]
    ) -> tuple[list[str], list[str]]:
        """Add the original's tags of versions that both have. Returns the names of those that are
        new, and of those that name another version here, which stay.

        ``originals`` are the original's manifests by version.
        """
        here = dict(self.store.refs.list_tags(self.record.id))
        new, kept = [], []
        for name, version in tags:
            if here.get(name) == version or version not in originals:
                continue
            if name in here:
                kept.append(name)
            elif self._has(Head(version, originals[version])):
                self.store.refs.put_tag(self.record.id, name, version)
                new.append(name)
        return new, kept

    def _check_manifest(self, upload: Upload, version: Head) -> None:
        manifest = decode_manifest(upload.load_object(version.manifest))
        if (manifest.volume, manifest.version) != (self.record.id, version.version):
            raise DamagedObjectError(
                f"the manifest of version {version.version} is that of version {manifest.version} "
                f"of {manifest.volume}"
            )

    def _has(self, version: Head) -> bool:
        found = self.store.refs.find_version(self.record.id, version.version)
        return found == version.manifest

    def _describe_gap(self, head: Head) -> str:
        return (
            f"{self._where}: its newest version, {head.version}, was expired in the original, so "
            "it may have gone its own way; --force adds the newer versions after it"
        )

    def _describe_parting(self, head: Head) -> str:
        return (
            f"{self._where}: it has gone its own way: its version {head.version} is none of the "
            "original's; fork it to keep what it has, delete it, and copy the volume again"
        )

    @property
    def _where(self) -> str:
        return f"'{self.record.full_name}' in {self.store.url}"


def open_replica(
    store: Store, original: VolumeRecord, first: bytes | None, wanted: ReplicaName
) -> Replica:
    """The replica of a volume in ``store``. It is made if it is not there.

    ``first`` is the manifest of the original's version 0, if that is still there.
    AlreadyExistsError if another volume has the name; InvalidError if the replica is there and has
    another name than the wanted one.
    """
    record = store.refs.find_volume_by_id(original.id)
    if record is None:
        record = _create(store, original, first, wanted)
    else:
        _check_called(record, wanted)
    return Replica(store, record, None if first is None else compute_oid(Kind.MANIFEST, first))


def _create(
    store: Store, original: VolumeRecord, first: bytes | None, wanted: ReplicaName
) -> VolumeRecord:
    record = msgspec.structs.replace(
        original,
        name=check_volume_name(wanted.name or original.name),
        environment=check_environment(wanted.environment or original.environment),
    )
    manifest = first
    if manifest is None or not _tells(manifest, record):
        manifest = encode_manifest(make_first_version(record))
    store.refs.create_volume(record, manifest)
    return record


def _tells(first: bytes, record: VolumeRecord) -> bool:
    """Whether the manifest of version 0 is empty and tells the record, as it has to if the index
    is lost."""
    manifest = decode_manifest(first)
    told = find_record(manifest)
    is_empty = not any(iter_manifest_references(manifest))
    return is_empty and told is not None and _name(told) == _name(record)


def _name(record: VolumeRecord) -> tuple[str, str]:
    return record.id, record.full_name


def _check_called(record: VolumeRecord, wanted: ReplicaName) -> None:
    name, environment = wanted
    if name not in (None, record.name) or environment not in (None, record.environment):
        raise InvalidError(
            f"the replica is called '{record.full_name}' there already; rename it, or leave out "
            "the new name"
        )
