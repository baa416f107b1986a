"""What a lease keeps, and whether a mount could live on that alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tests.harness.rig import Rig, list_tree
from volfs.model.entry import Entry
from volfs.model.objects import Kind, Oid
from volfs.model.tree import iter_entries, iter_objects
from volfs.store.contract.lease import Lease, Need
from volfs.store.contract.objects import Objects
from volfs.store.contract.store import Store
from volfs.volume.leases import entry_needs, snapshot_needs
from volfs.volume.version_reader import Reader


class RecordingObjects:
    """Objects of a store that remember which of them were asked for."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.asked: set[Oid] = set()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._objects, name)
        if not callable(call):
            return call

        def ask(oid: Oid, *arguments: int) -> Any:
            self.asked.add(oid)
            return call(oid, *arguments)

        return ask


def check_leased(rig: Rig, handles: Iterable[int] = ()) -> None:
    """Whatever a mount can still read, it reads from what its lease keeps."""
    view, files = rig.state.view, rig.files
    objects, reader = view.objects, view.reader
    recorded: Any = RecordingObjects(objects)
    view.objects = files.objects = recorded
    view.reader = Reader(view._load_ready)
    list_tree(rig)
    for handle in handles:
        rig.read_handle(handle)
    view.objects, files.objects, view.reader = objects, objects, reader
    stored = rig.store._store.leases.find(rig.committer.lease.session)
    assert stored is not None
    for lease in (stored, rig.committer.lease):
        kept = list_kept(rig.store._store, lease)
        assert {oid.hex() for oid in recorded.asked} <= {oid.hex() for oid in kept}


def list_kept(store: Store, lease: Lease) -> set[Oid]:
    """Every object that gc has to keep because of a lease and the versions in it."""
    reader = Reader(store.objects_of(lease.volume_id).load_object)
    waiting = list(lease.needs)
    versions = {head.version: head.manifest for head in store.refs.iter_versions(lease.volume_id)}
    assert versions.keys() >= {*lease.versions}
    for manifest in (versions[version] for version in versions if lease.has(version)):
        waiting += snapshot_needs(reader.load_manifest(manifest).snapshot)
    kept: set[Oid] = set()
    while waiting:
        need = waiting.pop()
        if need.oid not in kept:
            kept.add(need.oid)
            waiting += _below(reader, need, kept)
    return kept


def _below(reader: Reader, need: Need, kept: set[Oid]) -> Iterator[Need]:
    if need.kind is Kind.TREE:
        kept.update(iter_objects(reader.get_tree, need.oid))
        for entry in iter_entries(reader.get_tree, need.oid):
            yield from entry_needs(entry)
    elif need.kind is Kind.CHUNK_LIST:
        found = reader.get_list(need.oid)
        yield from (Need(Kind.CHUNK_LIST, Oid(oid)) for oid in found.children if oid)
        yield from entry_needs(Entry(b"list", 1, extents=found.extents))
