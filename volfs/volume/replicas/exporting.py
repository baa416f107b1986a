"""Writing the versions of a volume as one stream of bytes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from volfs.errors import InvalidError
from volfs.model.objects import Load
from volfs.model.pack import PackKind, encode_pack_header, encode_record_header, pack_kind
from volfs.model.progress import Report, report_nothing
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.packs.codec import Packed, pack_object
from volfs.volume.leases import held_version
from volfs.volume.replicas.exported import (
    ExportedVolume,
    encode_end,
    encode_pack,
    encode_version,
    encode_volume,
)
from volfs.volume.replicas.new_objects import NewObject, iter_new_objects
from volfs.volume.replicas.sending import list_versions, load_first
from volfs.volume.replicas.version_count import VersionCount

PACK_TARGET = 16 << 20
_AHEAD = 16
"""Objects that may wait to be written, so that all processors have work."""


class Export:
    """The versions of a volume as the bytes of one file. Iterating writes it, once."""

    def __init__(
        self,
        store: Store,
        volume: VolumeRecord,
        since: Head | None = None,
        *,
        newest: bool = False,
        report: Report = report_nothing,
    ) -> None:
        """All versions, or those after ``since``; with ``newest``, only the last of these.

        Version 0 is part of what is said of the volume. InvalidError if no version comes after
        ``since``.
        """
        after = 0 if since is None else since.version
        versions = [head for head in list_versions(store, volume) if head.version > after]
        if since is not None and not versions:
            raise InvalidError(f"{volume.full_name}: no version comes after {after}")
        self.versions = versions[-1:] if newest else versions
        self.objects = 0
        self.bytes = 0
        """Objects and bytes that were written."""
        self._store = store
        self._volume = volume
        self._since = since
        self._load: Load = store.objects_of(volume.id).load_object
        self._count = VersionCount(report)
        self._packs = 0

    def __iter__(self) -> Iterator[bytes]:
        for member in self._iter_members():
            self.bytes += len(member)
            self._count.add_bytes(len(member))
            yield member

    def _iter_members(self) -> Iterator[bytes]:
        first = load_first(self._store, self._volume)
        yield encode_volume(ExportedVolume(self._volume, self.versions, self._since, first))
        self._count.expect(len(self.versions))
        before = self._since
        for version in self.versions:
            yield from self._write_version(before, version)
            yield encode_version(version.version)
            self._count.add_version()
            before = version
        known = {version.version for version in self.versions}
        tags = self._store.refs.list_tags(self._volume.id)
        yield encode_end({tag.name: tag.version for tag in tags if tag.version in known})

    def _write_version(self, before: Head | None, version: Head) -> Iterator[bytes]:
        """The packs of what a version has and the one before it lacks.

        NotFoundError if one of the two was expired meanwhile.
        """
        with (
            held_version(self._store, self._volume, lambda: before or version),
            held_version(self._store, self._volume, lambda: version),
        ):
            old = before and before.manifest
            found = iter_new_objects(self._load, version.manifest, self._load, old)
            for pack in _gather_packs(self._pack_all(found)):
                self._packs += 1
                yield encode_pack(self._packs, pack)

    def _pack_all(self, found: Iterable[NewObject]) -> Iterator[Packed]:
        """The objects in the form in which they are stored, in order."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            waiting: deque[Future[Packed]] = deque()
            for item in found:
                self.objects += 1
                waiting.append(pool.submit(self._pack_one, item))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _pack_one(self, item: NewObject) -> Packed:
        data = self._load(item.oid) if item.data is None else item.data
        return pack_object(item.kind, item.oid, data)


def _gather_packs(objects: Iterable[Packed]) -> Iterator[bytes]:
    """Packs of about ``PACK_TARGET`` bytes, each of one kind."""
    packs: dict[PackKind, bytearray] = {}
    for packed in objects:
        kind = pack_kind(packed.header.kind)
        pack = packs.setdefault(kind, bytearray(encode_pack_header(kind)))
        pack += encode_record_header(packed.header)
        for part in packed.parts:
            pack += part
        if len(pack) >= PACK_TARGET:
            yield bytes(packs.pop(kind))
    yield from map(bytes, packs.values())
