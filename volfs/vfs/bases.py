"""Whether a store has the version that an overlay lies on. A restored older store may lack it.

A version's number proves nothing, because a restored store goes on and makes another version with
the same number. Manifest ids are compared, and for what is below them the lease or every object.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import msgspec

from volfs.errors import BaseGoneError, DataError, MissingObjectError
from volfs.model.manifest import Snapshot
from volfs.model.objects import Buffer, Kind, Oid
from volfs.model.references import Reference, iter_references, walk_references
from volfs.model.tree import iter_entries
from volfs.store.contract.lease import Lease, Need
from volfs.store.contract.objects import Objects
from volfs.store.contract.refs import Head
from volfs.store.contract.store import Store
from volfs.vfs.records import Recorded, StoredBase
from volfs.volume.leases import entry_needs, new_lease, snapshot_needs
from volfs.volume.version_reader import Reader


def recorded_needs(recorded: Recorded) -> tuple[Need, ...]:
    """The needs of an overlay: its view's trees, and what it uses of earlier views.

    Directories that the overlay did not bind are the view's.
    """
    if recorded.base is None:
        return ()
    needs = set(snapshot_needs(recorded.base.snapshot))
    bound = {ino for _, _, ino in recorded.names}
    for ino, inode in recorded.inodes.items():
        if not inode.entry.is_directory or ino in bound:
            needs.update(entry_needs(inode.base or inode.entry))
    return tuple(sorted(needs))


def find_version_problem(store: Store, volume_id: str, base: StoredBase) -> str:
    """Why the version is not there, in words; empty if it is there. Cheap."""
    found = store.refs.find_version(volume_id, base.version)
    if found == base.manifest:
        return ""
    where = f"version {base.version}, on which it stands,"
    return f"{where} is not in this store" if found is None else f"{where} is another one here"


def find_problem(store: Store, volume_id: str, recorded: Recorded, lease: Lease | None) -> str:
    """Why an overlay cannot lie on this store as it is; empty if it can. StoreError."""
    base = recorded.base
    assert base is not None, "an overlay with records stands on something"
    if problem := find_version_problem(store, volume_id, base):
        return problem
    if lease is not None and is_covered(recorded, lease):
        return ""
    needs = recorded_needs(recorded)
    objects = store.objects_of(volume_id)
    manifest = Reader(objects.load_object).load_manifest(Oid(base.manifest))
    known = snapshot_needs(base.snapshot) if manifest.snapshot == base.snapshot else ()
    if is_there(objects, set(needs) - set(known)):
        return ""
    return f"parts of version {base.version}, on which it stands, are not in this store"


def is_covered(recorded: Recorded, lease: Lease) -> bool:
    """Whether a lease covers what an overlay lies on, so that all of it has been kept.

    Changes after the lease was put lie on the view; otherwise the lease would have been put again.
    """
    base = recorded.base
    return base is not None and set(snapshot_needs(base.snapshot)) <= set(lease.needs)


def widen_lease(lease: Lease, recorded: Recorded) -> Lease:
    """The lease with all that an overlay lies on. The overlay's version must be in the store."""
    base = recorded.base
    assert base is not None
    versions = {*lease.versions, base.version}
    needs = {*lease.needs, *recorded_needs(recorded)}
    return msgspec.structs.replace(
        lease, versions=tuple(sorted(versions)), needs=tuple(sorted(needs))
    )


def keep_what_is_there(store: Store, volume_id: str, session: str, recorded: Recorded) -> Lease:
    """Lease what the store still has of a base that is gone, because nothing else keeps it for an
    export."""
    left = store.leases.find(session) or new_lease(store.leases, session, volume_id)
    present = find_present(store.objects_of(volume_id), recorded_needs(recorded))
    lease = msgspec.structs.replace(left, needs=tuple(sorted({*left.needs, *present})))
    store.leases.put(lease)
    return lease


def find_present(objects: Objects, needs: Iterable[Need]) -> list[Need]:
    """Those of the needs, or of the objects below them, that are there with everything below
    them."""
    present: list[Need] = []
    waiting = list(needs)
    while waiting:
        need = waiting.pop()
        if is_there(objects, [need]):
            present.append(need)
        elif need.kind != Kind.CHUNK and objects.contains(need.oid):
            with suppress(DataError):
                waiting += iter_references(need.kind, objects.load_object(need.oid))
    return present


def is_there(objects: Objects, needs: Iterable[Need]) -> bool:
    """Whether objects are published, with everything below them."""
    seen: set[Reference] = set()

    def visit(reference: Reference) -> Buffer | None:
        if reference in seen:
            return None
        seen.add(reference)
        if not objects.contains(reference.oid):
            raise MissingObjectError(f"object {reference.oid.hex()} is missing")
        return None if reference.kind == Kind.CHUNK else objects.load_object(reference.oid)

    try:
        walk_references(list(needs), visit)
    except DataError:
        return False
    return True


def has_all(objects: Objects, head: Head, snapshot: Snapshot, needs: Iterable[Need]) -> bool:
    """Whether a version is this snapshot, and has all that is needed. Reads its directories until
    everything is found."""
    reader = Reader(objects.load_object)
    if reader.load_manifest(head.manifest).snapshot != snapshot:
        return False
    missing = set(needs) - set(snapshot_needs(snapshot))
    waiting = [tree for tree in (snapshot.root.tree, snapshot.links) if tree]
    while missing and waiting:
        for entry in iter_entries(reader.get_tree, waiting.pop()):
            missing.difference_update(entry_needs(entry))
            if entry.is_directory and entry.tree:
                waiting.append(entry.tree)
    return not missing


def base_gone(name: str, problem: str) -> BaseGoneError:
    """The error for a base that is gone, with what its user can do."""
    return BaseGoneError(
        f"the overlay {name}: {problem}; nothing of it is lost: `volfs overlays export {name} "
        f"DIRECTORY` writes its files out, `volfs overlays rebase {name} --onto head` puts it "
        "onto a version that is here"
    )
