"""Leases: beginning a session's, and widening it.

And holds, which are the leases of operations that read a version without a session.

What a lease has when: docs/format.md, "Leases". A mount's is kept up to date by
``vfs/committer.py``; ``sessions/liveness.py`` drops those that nobody has any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from volfs.errors import NotFoundError
from volfs.model.entry import Entry
from volfs.model.manifest import Snapshot
from volfs.model.objects import Kind
from volfs.model.references import iter_entry_references
from volfs.store.clock import unique_ns
from volfs.store.contract.leases import Lease, LeaseKind, Leases, Need
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store


def new_lease(
    leases: Leases,
    session: str,
    volume_id: str,
    *,
    place: str = "",
    kind: LeaseKind = LeaseKind.KEPT,
    onward: bool = False,
) -> Lease:
    """An empty lease of a session of this host. Nothing is put."""
    return Lease(
        session,
        volume_id,
        began_ns=unique_ns(),
        onward=onward,
        host=leases.host,
        place=place,
        kind=kind,
    )


def keep_version(leases: Leases, lease: Lease, find_head: Callable[[], Head]) -> tuple[Head, Lease]:
    """Widen a session's lease to the version that ``find_head`` finds, and put it.

    From here on the version stays, and if the lease goes ``onward``, all later ones. Raises
    what ``find_head`` does.
    """
    head = find_head()
    while True:
        wide = widen(lease, head.version)
        try:
            if wide != lease:
                leases.put(wide)
            return head, wide
        except NotFoundError:
            # Expired since it was found, unless it is found again.
            before, head = head, find_head()
            if head == before:
                raise


@contextmanager
def held_version(store: Store, volume: VolumeRecord, find: Callable[[], Head]) -> Iterator[Head]:
    """Hold the version that ``find`` finds while a ``with`` block reads it.

    It can be read to its end whatever is expired and collected meanwhile. Raises
    what ``find`` does; NotFoundError where it always finds one that is gone.
    """
    head = find()
    while True:
        with store.leases.hold(volume.id, head):
            # What was there after it was held stays: who removes it asks the other way round.
            if store.refs.find_version(volume.id, head.version) == head.manifest:
                yield head
                return
        before, head = head, find()
        if head == before:
            raise NotFoundError(f"{volume.full_name}: version {head.version} is not there any more")


def widen(lease: Lease, *versions: int, needs: tuple[Need, ...] = ()) -> Lease:
    """The lease with more in it; the same one if all of that is there already."""
    more = tuple(version for version in versions if not lease.has(version))
    others = tuple(need for need in needs if need not in lease.needs)
    if not (more or others):
        return lease
    return msgspec.structs.replace(
        lease, versions=lease.versions + more, needs=lease.needs + others
    )


def snapshot_needs(snapshot: Snapshot) -> tuple[Need, ...]:
    """The trees of a view."""
    trees = (snapshot.root.tree, snapshot.links)
    return tuple(Need(Kind.TREE, tree) for tree in trees if tree)


def entry_needs(entry: Entry) -> tuple[Need, ...]:
    """What lies below one entry: a directory's tree, a file's chunk list or chunks."""
    return tuple(iter_entry_references(entry))
