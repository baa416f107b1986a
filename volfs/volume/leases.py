"""Leases: how a session's lease begins, and how it is widened.

Also holds, which are the leases of operations that read a version without a session.

docs/format.md, "Leases", says what a lease contains at which time. ``vfs/committer.py`` keeps a
mount's lease up to date. ``sessions/liveness.py`` drops leases whose sessions are gone.
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
from volfs.store.contract.lease import Lease, LeaseKind, Need
from volfs.store.contract.leases import Leases
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.identity import find_host_name


def new_lease(
    leases: Leases,
    session: str,
    volume_id: str,
    *,
    place: str = "",
    kind: LeaseKind = LeaseKind.KEPT,
    onward: bool = False,
) -> Lease:
    """An empty lease of a session on this host. Nothing is put into the store."""
    return Lease(
        session,
        volume_id,
        began_ns=unique_ns(),
        onward=onward,
        host=leases.host,
        place=place,
        kind=kind,
        host_name=find_host_name(),
    )


def keep_version(leases: Leases, lease: Lease, find_head: Callable[[], Head]) -> tuple[Head, Lease]:
    """Widen a session's lease to the version that ``find_head`` finds, and put the lease.

    From now on the version stays, and if the lease is ``onward``, all later versions stay, too.
    Raises what ``find_head`` raises.
    """
    head = find_head()
    while True:
        wide = widen(lease, head.version)
        try:
            if wide != lease:
                leases.put(wide)
            return head, wide
        except NotFoundError:
            # The version was expired since it was found, unless it is found again.
            before, head = head, find_head()
            if head == before:
                raise


@contextmanager
def held_version(store: Store, volume: VolumeRecord, find: Callable[[], Head]) -> Iterator[Head]:
    """Hold the version that ``find`` finds while a ``with`` block reads it.

    The version can be read to its end, whatever is expired and collected meanwhile. Raises what
    ``find`` raises; NotFoundError if ``find`` insists on a version that is gone.
    """
    head = find()
    while True:
        with store.leases.hold(volume.id, head):
            # A version that is there after it was held stays readable, because gc reads the
            # versions first, and the holds after them.
            if store.refs.find_version(volume.id, head.version) == head.manifest:
                yield head
                return
        before, head = head, find()
        if head == before:
            raise NotFoundError(f"{volume.full_name}: version {head.version} is not there any more")


def widen(lease: Lease, *versions: int, needs: tuple[Need, ...] = ()) -> Lease:
    """The lease with more versions and needs in it; the same lease if it has all of them
    already."""
    more = tuple(version for version in versions if not lease.has(version))
    others = tuple(need for need in needs if need not in lease.needs)
    if not (more or others):
        return lease
    return msgspec.structs.replace(
        lease, versions=lease.versions + more, needs=lease.needs + others
    )


def snapshot_needs(snapshot: Snapshot) -> tuple[Need, ...]:
    """The needs of a view: its trees."""
    trees = (snapshot.root.tree, snapshot.links)
    return tuple(Need(Kind.TREE, tree) for tree in trees if tree)


def entry_needs(entry: Entry) -> tuple[Need, ...]:
    """The needs of one entry: a directory's tree, or a file's chunk list or chunks."""
    return tuple(iter_entry_references(entry))
