"""The walk of two versions finds what the new one has and the old one lacks."""

from __future__ import annotations

import random

import pytest

from tests.volume.shortcuts import noise, publish_files
from volfs.errors import MissingObjectError
from volfs.model.objects import Kind, Oid
from volfs.model.references import Reference, walk_references
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.replicas.new_objects import iter_new_objects

FEW = {"a": noise(90_000), "d/b": noise(70_000, 1), "d/e/c": b"c" * 200_000}


def reach(store: Store, volume: VolumeRecord, head: Head) -> set[Oid]:
    """All objects below a manifest, itself included."""
    load, found = store.objects_of(volume.id).load_object, set[Oid]()

    def visit(reference: Reference) -> bytes | None:
        if reference.oid in found:
            return None
        found.add(reference.oid)
        return None if reference.kind is Kind.CHUNK else load(reference.oid)

    walk_references([Reference(Kind.MANIFEST, head.manifest)], visit)
    return found


def compare(store: Store, volume: VolumeRecord, old: Head | None, new: Head) -> list[Oid]:
    load = store.objects_of(volume.id).load_object
    found = list(iter_new_objects(load, new.manifest, load, old and old.manifest))
    for item in found:
        assert (item.data is None) == (item.kind is Kind.CHUNK)
    return [item.oid for item in found]


def test_without_an_old_version_everything_is_new(store: Store, volume: VolumeRecord) -> None:
    head = publish_files(store, volume, dict(FEW)).head
    found = compare(store, volume, None, head)
    assert set(found) == reach(store, volume, head)
    assert len(found) == len(set(found))


def test_what_is_shared_is_not_looked_into(store: Store, volume: VolumeRecord) -> None:
    many = {f"d{i}/f{j}": noise(3000, 100 * i + j) for i in range(20) for j in range(20)}
    old = publish_files(store, volume, dict(many)).head
    new = publish_files(store, volume, {"d7/f7": noise(3000, 9999)}).head
    looked: list[Oid] = []
    objects = store.objects_of(volume.id)

    def load(oid: Oid) -> bytes:
        looked.append(oid)
        return objects.load_object(oid)

    found = {item.oid for item in iter_new_objects(load, new.manifest, load, old.manifest)}
    assert found == reach(store, volume, new) - reach(store, volume, old)
    assert len(looked) <= 6, "a manifest, a root and a directory of each version"


def test_a_missing_object_is_an_error(store: Store, volume: VolumeRecord) -> None:
    head = publish_files(store, volume, dict(FEW)).head
    objects = store.objects_of(volume.id)

    def load(oid: Oid) -> bytes:
        if oid != head.manifest:
            raise MissingObjectError("gone")
        return objects.load_object(oid)

    with pytest.raises(MissingObjectError):
        list(iter_new_objects(load, head.manifest, load, None))


@pytest.mark.parametrize("seed", range(4))
def test_old_and_found_make_the_new_version(store: Store, volume: VolumeRecord, seed: int) -> None:
    """Random changes: files of one and of several chunks, new, changed, removed, copied."""
    rng = random.Random(seed)
    old = store.refs.get_head(volume.id)
    for _ in range(12):
        new = publish_files(store, volume, make_changes(rng)).head
        found = compare(store, volume, old, new)
        assert len(found) == len(set(found))
        before, after = reach(store, volume, old), reach(store, volume, new)
        assert after - before <= set(found) <= after
        old = new


def make_changes(rng: random.Random) -> dict[str, bytes | None]:
    changes: dict[str, bytes | None] = {}
    for _ in range(rng.randint(1, 5)):
        directory = "/".join(f"d{rng.randint(0, 2)}" for _ in range(rng.randint(1, 3)))
        size = rng.choice((10, 5_000, 150_000))
        changes[f"{directory}/f{rng.randint(0, 3)}"] = noise(size, rng.randint(0, 5))
    return changes
