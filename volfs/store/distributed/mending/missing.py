"""The objects that versions and leases need, and that their volume does not have."""

from __future__ import annotations

from collections.abc import Iterator

from volfs.errors import DataError
from volfs.model.logs.volume_log import VolumeState
from volfs.model.objects import Buffer, Kind, Oid
from volfs.model.oid_set import OidSet
from volfs.model.references import Reference, walk_references
from volfs.store.distributed.data.bucket_objects import BucketObjects
from volfs.store.distributed.mending.log_survey import StoreSurvey


def list_roots(survey: StoreSurvey, volume: str, state: VolumeState) -> list[Reference]:
    """The manifests of all versions of a volume, and what leases of it need."""
    roots = {Reference(Kind.MANIFEST, row.manifest) for row in state.versions.known.values()}
    for riders in state.riders.values():
        roots.update(need for rider in riders for need in rider.needs)
    for found in survey.leases:
        made = found.lease
        if made is not None and made.volume == volume:
            roots.update(Reference(Kind.MANIFEST, Oid(oid)) for _, oid in made.versions)
            roots.update(Reference(kind, Oid(oid)) for kind, oid in made.needs)
    return sorted(roots)


def find_missing(objects: BucketObjects, roots: list[Reference]) -> set[Oid]:
    """The objects below the roots that no pack of the volume has, or that cannot be read. What only
    an object leads to that is nowhere is not looked for. StoreError."""
    return set(_iter_missing(objects, roots))


def _iter_missing(objects: BucketObjects, roots: list[Reference]) -> Iterator[Oid]:
    missing: list[Oid] = []
    seen, chunks = OidSet(), OidSet()

    def visit(reference: Reference) -> Buffer | None:
        kind, oid = reference
        known = chunks if kind is Kind.CHUNK else seen
        if oid in known:
            return None
        known.add(oid)
        if not _is_there(objects, oid):
            missing.append(oid)
        # A pack that the volume does not name may have the object, and so lead to what is below.
        return None if kind is Kind.CHUNK else _load(objects, oid, missing)

    for root in roots:
        try:
            walk_references([root], visit)
        except DataError:
            missing.append(root.oid)  # It is no object of its kind, so nothing is below it.
    yield from missing


def _is_there(objects: BucketObjects, oid: Oid) -> bool:
    try:
        return objects.is_there(oid)
    except DataError:
        return False


def _load(objects: BucketObjects, oid: Oid, missing: list[Oid]) -> Buffer | None:
    try:
        return objects.load_object(oid)
    except DataError:
        missing.append(oid)
        return None
