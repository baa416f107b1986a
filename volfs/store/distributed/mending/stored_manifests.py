"""The manifests that are stored anywhere, and what they tell of the histories of volumes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from volfs.buckets.access import Bucket
from volfs.errors import DataError
from volfs.model.manifest import decode_manifest
from volfs.model.objects import Oid
from volfs.store.distributed.mending.inventory import Inventory
from volfs.store.distributed.mending.pack_check import load_record
from volfs.store.distributed.mending.stored_records import iter_manifest_records


class StoredManifest(NamedTuple):
    volume: str
    version: int
    parent: Oid
    created_ns: int


class StoredManifests:
    """Manifests by id, and by the one before."""

    def __init__(self, found: dict[Oid, StoredManifest]) -> None:
        self._found = found
        self._children: dict[Oid, list[Oid]] = defaultdict(list)
        for oid, manifest in found.items():
            self._children[manifest.parent].append(oid)

    def list_above(self, oid: Oid, version: int) -> list[tuple[int, Oid]]:
        """The versions above one, up to the parent of this manifest, ascending, as far as parents
        tell them."""
        return list(self._iter_parents(oid, version))[::-1]

    def _iter_parents(self, oid: Oid, version: int) -> Iterator[tuple[int, Oid]]:
        manifest = self._found.get(oid)
        while manifest is not None and manifest.parent:
            oid = manifest.parent
            manifest = self._found.get(oid)
            if manifest is None or manifest.version <= version:
                return
            yield manifest.version, oid

    def list_below(self, volume: str, head: Oid) -> list[tuple[int, Oid]]:
        """The versions of a volume that follow a head, ascending. Where two follow one, the
        earlier one was published: the other had lost the race, and was made again."""
        followers: list[tuple[int, Oid]] = []
        while True:
            children = [oid for oid in self._children[head] if self._found[oid].volume == volume]
            if not children:
                return followers
            head = min(children, key=lambda oid: (self._found[oid].created_ns, oid))
            followers.append((self._found[head].version, head))


def read_manifests(bucket: Bucket, objects: Inventory) -> StoredManifests:
    """StoreError."""
    found = {}
    for record in iter_manifest_records(bucket, objects):
        with suppress(DataError):
            manifest = decode_manifest(bytes(load_record(record)))
            found[record.header.oid] = StoredManifest(
                manifest.volume, manifest.version, Oid(manifest.parent), manifest.created_ns
            )
    return StoredManifests(found)
