"""Repairing a store, and recovering volumes from manifests if their refs are lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec

from volfs.errors import DataError
from volfs.errors.fault_points import reached
from volfs.model.lineage import FoundManifest, choose_versions
from volfs.model.manifest import Manifest, decode_manifest
from volfs.model.names import MAIN, split_name
from volfs.model.objects import Buffer, Kind, Oid
from volfs.model.oid_set import OidSet
from volfs.model.profile import DEFAULT_CHUNK_BITS, DEFAULT_PROFILE
from volfs.model.progress import Report, report_nothing
from volfs.model.references import Reference, iter_manifest_references, walk_references
from volfs.store.contract.care import Named, RebuildReport, RepairReport
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.origin import find_record
from volfs.store.registry import open_store, rebuild_index

ID_SHOWN = 8


def repair_store(store: Store, report: Report = report_nothing) -> RepairReport:
    """Index what is stored, and drop what is not. ConflictError while gc runs; StoreError."""
    return store.care.repair(report)


class Recovered(NamedTuple):
    """A volume that was recovered."""

    volume: VolumeRecord
    versions: list[int]
    """The versions that were recovered, newest first."""
    incomplete: list[int]
    """Versions that were left out, because their manifests are there and their trees are not."""
    lost_tags: dict[str, int]
    """Tags of versions that were left out, or that are not there."""


def rebuild_store(
    url: str, report: Report = report_nothing
) -> tuple[RebuildReport, list[Recovered]]:
    """Make a store's index again, and its volumes if the store has no refs left.

    StoreUnavailableError if the store is in use.
    """
    result = rebuild_index(url, report)
    store = open_store(url)
    try:
        return result, recover_volumes(store) if store.care.has_lost_refs() else []
    finally:
        store.close()


def recover_volumes(store: Store) -> list[Recovered]:
    """Recover every volume that has a manifest and no ref. May be repeated."""
    found: dict[str, dict[Oid, Manifest]] = {}
    for oid, manifest in _iter_manifests(store):
        found.setdefault(manifest.volume, {})[oid] = manifest
    whole, named = Wholeness(store), store.care.list_named()
    order = sorted(found, key=lambda volume_id: _rank(named.get(volume_id), found[volume_id]))
    recovered = [
        _recover_volume(store, volume_id, found[volume_id], whole, named.get(volume_id, UNNAMED))
        for volume_id in order
        if store.refs.find_volume_by_id(volume_id) is None
    ]
    store.care.end_recovery()
    return [item for item in recovered if item is not None]


UNNAMED = Named(None, {})


def _rank(named: Named | None, manifests: dict[Oid, Manifest]) -> tuple[int, int]:
    """The order in which volumes take names, so that a deleted volume never takes the name of a
    living one.

    gc forgets what was deleted, though it may leave its manifests. But of the volumes that were
    created under one name, the last one is not deleted, if any is not.
    """
    name = named.name if named else None
    certainty = 2 if name == "" else 0 if name else 1
    return certainty, -min(manifest.created_ns for manifest in manifests.values())


def _iter_manifests(store: Store) -> Iterator[tuple[Oid, Manifest]]:
    for oid, data in store.care.iter_manifests():
        with suppress(DataError):  # The manifest is as good as gone. A check names it.
            yield oid, decode_manifest(data)


def _recover_volume(
    store: Store, volume_id: str, manifests: dict[Oid, Manifest], whole: Wholeness, named: Named
) -> Recovered | None:
    found = [
        FoundManifest(oid, m.version, Oid(m.parent), m.created_ns) for oid, m in manifests.items()
    ]
    chosen = choose_versions(found, lambda item: whole.is_whole(manifests[item.oid]))
    if not chosen:
        return None
    oldest = manifests[chosen[-1].oid]
    record = _free_name(store, _rename(_make_record(volume_id, oldest), named))
    store.care.recover_volume(record, [Head(item.version, item.oid) for item in chosen], named.tags)
    reached("rebuild.recovered")
    versions = [item.version for item in chosen]
    incomplete = {item.version for item in found} - set(versions)
    lost = {tag: version for tag, version in named.tags.items() if version not in versions}
    return Recovered(record, versions, sorted(incomplete, reverse=True), lost)


def _rename(record: VolumeRecord, named: Named) -> VolumeRecord:
    """The record with the name and environment that it was given later. A deleted volume gets a
    made-up name."""
    if named.name is None:
        return record
    if not named.name:
        return msgspec.structs.replace(record, name=_fallback_name(record.id))
    environment, name = split_name(named.name)
    return msgspec.structs.replace(record, name=name, environment=environment or MAIN)


class Wholeness:
    """Whether versions have all their trees and chunk lists. Whole parts are looked at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._whole = OidSet()

    def is_whole(self, manifest: Manifest) -> bool:
        visited: set[Oid] = set()
        load = self._store.objects_of(manifest.volume).load_object

        def visit(reference: Reference) -> Buffer | None:
            kind, oid = reference
            if kind == Kind.CHUNK or oid in self._whole or oid in visited:
                return None
            visited.add(oid)
            return load(oid)

        try:
            walk_references(list(iter_manifest_references(manifest)), visit)
        except DataError:
            return False
        for oid in visited:
            self._whole.add(oid)
        return True


# --- names of recovered volumes ----------------------------------------------


def _make_record(volume_id: str, oldest: Manifest) -> VolumeRecord:
    return find_record(oldest) or VolumeRecord(
        volume_id,
        _fallback_name(volume_id),
        DEFAULT_PROFILE,
        DEFAULT_CHUNK_BITS,
        oldest.created_ns,
        oldest.author,
    )


def _fallback_name(volume_id: str) -> str:
    return f"recovered-{volume_id.partition('-')[2][:ID_SHOWN]}"


def _free_name(store: Store, record: VolumeRecord) -> VolumeRecord:
    """The record under a name that is free. Two volumes may have been created under one name, one
    after the other."""
    others = (volume for volume in store.refs.list_volumes() if volume.id != record.id)
    names = {(volume.environment, volume.name) for volume in others}
    if (record.environment, record.name) not in names:
        return record
    return msgspec.structs.replace(record, name=_fallback_name(record.id))
