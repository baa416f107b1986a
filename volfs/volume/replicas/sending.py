"""Sending the versions of a volume from one store to a replica in another store."""

from __future__ import annotations

from typing import NamedTuple

from volfs.errors import HeadMovedError, InvalidError, MissingObjectError
from volfs.errors.fault_points import reached
from volfs.model.progress import Report, report_nothing
from volfs.store.contract.objects import Upload
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.leases import held_version
from volfs.volume.replicas.chunk_sender import ChunkSender, check_same
from volfs.volume.replicas.incoming import IncomingVolume
from volfs.volume.replicas.new_objects import NewObject, iter_new_objects
from volfs.volume.replicas.replica import Replica, ReplicaName, open_replica
from volfs.volume.replicas.version_count import VersionCount


class SendOptions(NamedTuple):
    name: ReplicaName = ReplicaName()
    newest: bool = False
    """Whether only the newest version is sent."""
    force: bool = False
    """Whether versions are added although the original has expired the replica's newest one."""


ALL = SendOptions()


class Sent(NamedTuple):
    """What was added to a replica."""

    replica: VolumeRecord
    versions: list[int]
    tags: list[str]
    kept_tags: list[str]
    """Tags of the original that name another version in the replica. They stayed as they were."""
    objects: int
    bytes: int
    """Objects and stored bytes that the other store did not have before."""


def send_volume(
    source: Store,
    volume: VolumeRecord,
    target: Store,
    options: SendOptions = ALL,
    report: Report = report_nothing,
) -> Sent:
    """Add the versions of ``volume`` that its replica in ``target`` lacks, and the tags of versions
    that both have.

    The errors of ``open_replica``, ``Replica.find_newer`` and ``Refs.publish``; InvalidError if the
    two stores are one; NotFoundError if the volume is deleted meanwhile.
    """
    _check_two(source, target)
    replica = open_replica(target, volume, load_first(source, volume), options.name)
    sending = _Sending(source, volume, replica, report)
    sending.run(options)
    originals = dict(list_versions(source, volume))
    tags, kept = replica.take_tags(source.refs.list_tags(volume.id), originals)
    return Sent(
        replica.record, sending.versions, tags, kept, sending.new_objects, sending.new_bytes
    )


def _check_two(source: Store, target: Store) -> None:
    if source.url == target.url or _is_same_place(source, target):
        raise InvalidError(f"{target.url}: that is the store of the volume itself")


def _is_same_place(source: Store, target: Store) -> bool:
    try:
        return source.local.samefile(target.local)
    except OSError:
        return False


def load_first(source: Store, volume: VolumeRecord) -> bytes | None:
    """The manifest of version 0; None if it was expired."""
    try:
        oid = source.refs.find_version(volume.id, 0)
        return oid and source.objects_of(volume.id).load_object(oid)
    except MissingObjectError:
        return None


def list_versions(store: Store, volume: VolumeRecord) -> list[Head]:
    """All versions, oldest first."""
    return list(store.refs.iter_versions(volume.id))[::-1]


class _Sending:
    """One call of ``send_volume``."""

    def __init__(
        self, source: Store, volume: VolumeRecord, replica: Replica, report: Report
    ) -> None:
        self.versions: list[int] = []
        self.new_objects = 0
        self.new_bytes = 0
        self._source = source
        self._volume = volume
        self._replica = replica
        self._incoming = IncomingVolume(replica.store, replica.record)
        self._count = VersionCount(report)

    def run(self, options: SendOptions) -> None:
        """Send what is missing, again and again, until nobody else has moved the replica's head
        meanwhile."""
        while True:
            try:
                self._send_missing(options)
            except HeadMovedError:
                continue
            self._incoming.delete()
            return

    def _send_missing(self, options: SendOptions) -> None:
        versions = list_versions(self._source, self._volume)
        missing = self._replica.find_newer(versions, force=options.force)
        missing = missing[-1:] if options.newest else missing
        self._count.expect(len(missing))
        for version in missing:
            if self._is_there(version):
                self._send_version(version)

    def _is_there(self, version: Head) -> bool:
        """Whether a version has not been expired since the versions were listed."""
        return self._source.refs.find_version(self._volume.id, version.version) == version.manifest

    def _send_version(self, version: Head) -> None:
        load = self._source.objects_of(self._volume.id).load_object
        after = self._replica.head
        with (
            held_version(self._source, self._volume, lambda: version),
            self._replica.open_upload() as upload,
        ):
            with ChunkSender(load, upload, self._incoming, self._count.add_bytes) as chunks:
                old = self._replica.load
                for found in iter_new_objects(load, version.manifest, old, after.manifest):
                    self._send_object(found, upload, chunks)
                chunks.finish()
            reached("send.put")
            self._replica.publish(upload, after, version)
            self.new_objects += upload.new_objects
            self.new_bytes += upload.new_bytes
        self.versions.append(version.version)
        self._count.add_version()

    def _send_object(self, found: NewObject, upload: Upload, chunks: ChunkSender) -> None:
        if found.data is None:
            chunks.send(found.oid)
            return
        check_same(found.oid, upload.put_object(found.kind, found.data))
        self._count.add_bytes(len(found.data))
