"""Making a replica from an exported volume, or bringing a replica up to date with one."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import BinaryIO

from volfs.errors import ConflictError, DamagedObjectError, DataError, MissingObjectError
from volfs.model.pack import PACK_HEADER_SIZE, Record, decode_pack_header, iter_records
from volfs.model.progress import Report, report_nothing
from volfs.store.contract.objects import Upload
from volfs.store.contract.refs import Head, Tag
from volfs.store.contract.store import Store
from volfs.store.packs.codec import unpack_object
from volfs.volume.replicas.chunk_sender import check_same
from volfs.volume.replicas.exported import (
    EndMember,
    ExportedReader,
    ExportedVolume,
    PackMember,
    VersionMember,
)
from volfs.volume.replicas.new_objects import iter_new_objects
from volfs.volume.replicas.replica import Replica, open_replica
from volfs.volume.replicas.sending import ALL, SendOptions, Sent
from volfs.volume.replicas.version_count import VersionCount


def import_volume(
    store: Store,
    file: BinaryIO,
    options: SendOptions = ALL,
    report: Report = report_nothing,
) -> Sent:
    """Add the versions of an exported volume that the replica in ``store`` lacks.

    The file is read once, to its end. DamagedObjectError for a file that is damaged, cut short or
    no exported volume: the versions before that place stay. ConflictError if the replica lacks the
    version that the file continues; the errors of ``open_replica`` and ``Replica.find_newer``.
    """
    exported = ExportedReader(file)
    volume = exported.volume
    _check_since(store, volume)
    replica = open_replica(store, volume.record, volume.first, options.name)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        importing = _Importing(replica, volume, options, pool, VersionCount(report))
        with closing(importing):
            return importing.run(exported)


def _check_since(store: Store, volume: ExportedVolume) -> None:
    """ConflictError unless the version that the file continues is in the store."""
    since = volume.since
    if since is None:
        return
    if store.refs.find_volume_by_id(volume.record.id) is None:
        raise ConflictError(
            f"the file continues version {since.version} of '{volume.record.full_name}', and "
            "this store has no replica of it; import a file with all versions first"
        )
    if store.refs.find_version(volume.record.id, since.version) != since.manifest:
        raise ConflictError(
            f"the file continues version {since.version} of '{volume.record.full_name}', which "
            "the replica here lacks"
        )


class _Importing:
    """One call of ``import_volume``: the versions of the file in turn."""

    def __init__(
        self,
        replica: Replica,
        volume: ExportedVolume,
        options: SendOptions,
        pool: ThreadPoolExecutor,
        count: VersionCount,
    ) -> None:
        self._replica = replica
        self._originals = [volume.since, *volume.versions] if volume.since else volume.versions
        newer = replica.find_newer(self._originals, force=options.force)
        self._wanted = set(newer[-1:] if options.newest else newer)
        self._there = replica.find_newest(self._originals)
        self._coming = deque(volume.versions)
        self._upload: Upload | None = None
        self._pool = pool
        self._count = count
        self._versions: list[int] = []
        self._objects = 0
        self._bytes = 0
        count.expect(len(volume.versions))

    def run(self, exported: ExportedReader) -> Sent:
        for member in exported:
            if isinstance(member, EndMember):
                return self.end(member)
            if isinstance(member, VersionMember):
                self.end_version(member.version)
            else:
                self.put_pack(member)
        raise AssertionError("a reader ends with an EndMember, or raises")

    def put_pack(self, pack: PackMember) -> None:
        """Put the objects of a pack, unless the replica has them or no version is wanted.

        What a version that is not wanted has may be part of one that is.
        """
        self._count.add_bytes(len(pack.data))
        if not self._coming:
            raise DamagedObjectError(f"{pack.name}: no version follows")
        if self._coming[0].version > self._there and self._wanted.intersection(self._coming):
            upload = self._open_upload()
            list(self._pool.map(lambda record: _put_record(upload, record), _read_pack(pack)))

    def end_version(self, version: int) -> None:
        """Publish a version, whose objects have all been put, if it is wanted."""
        if not self._coming or self._coming[0].version != version:
            raise DamagedObjectError(f"version {version} is not the one that comes next")
        head = self._coming.popleft()
        if head in self._wanted:
            with self._open_upload() as upload:
                self._publish(upload, head)
            self._upload = None
        self._count.add_version()

    def end(self, end: EndMember) -> Sent:
        if self._coming:
            raise DamagedObjectError(f"version {self._coming[0].version} is missing")
        tags = [Tag(*item) for item in end.tags.items()]
        new, kept = self._replica.take_tags(tags, dict(self._originals))
        record = self._replica.record
        return Sent(record, self._versions, new, kept, self._objects, self._bytes)

    def close(self) -> None:
        """Forget what was put for a version that did not come to its end."""
        if self._upload is not None:
            self._upload.__exit__(None, None, None)

    # --- inside ----------------------------------------------------------

    def _open_upload(self) -> Upload:
        if self._upload is None:
            self._upload = self._replica.open_upload()
        return self._upload

    def _publish(self, upload: Upload, head: Head) -> None:
        after = self._replica.head
        self._rely_on_all(upload, head, after)
        self._objects += upload.new_objects
        self._bytes += upload.new_bytes
        self._replica.publish(upload, after, head)
        self._versions.append(head.version)

    def _rely_on_all(self, upload: Upload, head: Head, after: Head) -> None:
        """Rely on each object that the version has and the replica's head lacks.

        DamagedObjectError if one is neither in the file nor in the replica.
        """
        load, old = upload.load_object, self._replica.load
        try:
            for found in iter_new_objects(load, head.manifest, old, after.manifest):
                if not upload.rely_on(found.oid):
                    raise MissingObjectError(f"object {found.oid.hex()} is not in the store")
        except MissingObjectError as error:
            raise DamagedObjectError(
                f"the file does not have all of version {head.version}: {error}"
            ) from error


def _read_pack(pack: PackMember) -> list[Record]:
    view = memoryview(pack.data)
    try:
        decode_pack_header(view[:PACK_HEADER_SIZE])
    except DataError as error:
        raise DamagedObjectError(f"{pack.name}: {error}") from error
    records = []
    for item in iter_records(lambda at, length: view[at : at + length], len(view)):
        if not isinstance(item, Record):
            raise DamagedObjectError(f"{pack.name} at {item.offset}: {item.problem}")
        records.append(item)
    return records


def _put_record(upload: Upload, record: Record) -> None:
    data = unpack_object(record.header, record.stored)
    check_same(record.header.oid, upload.put_object(record.header.kind, data))
