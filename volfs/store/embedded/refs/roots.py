"""The roots of gc: everything that versions, heads, holds and leases need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from volfs.model.objects import Kind
from volfs.model.references import Reference
from volfs.store.checked_lmdb.environment import Transaction
from volfs.store.contract.lease import Lease
from volfs.store.embedded.data.index import Index
from volfs.store.embedded.refs.leases import LeaseRows
from volfs.store.embedded.refs.refs import RefRows
from volfs.store.holds import Holds

RootsByVolume = defaultdict[str, set[Reference]]
"""The roots of each volume, by its id."""


class Roots:
    def __init__(self, index: Index, refs: RefRows, leases: LeaseRows, holds: Holds) -> None:
        self._index = index
        self._refs = refs
        self._leases = leases
        self._holds = holds

    def find_in(self, txn: Transaction, ended: Collection[Lease]) -> RootsByVolume:
        """The roots as of the transaction, without the needs of leases that have ``ended``."""
        roots: RootsByVolume = defaultdict(set)
        for volume_id, oid in self._refs.iter_manifests(txn):
            roots[volume_id].add(Reference(Kind.MANIFEST, oid))
        for lease in self._leases.list_in(txn):
            if lease not in ended:
                roots[lease.volume_id].update(lease.needs)
        held = set(self._iter_held(txn)).difference(*roots.values())
        if held:  # These are holds on versions of a deleted volume.
            roots[""] = held
        return roots

    def _iter_held(self, txn: Transaction) -> Iterator[Reference]:
        for prefix in self._holds.list_held():
            # A hold on a version that is no longer there keeps nothing.
            for oid in self._index.find_manifests(txn, prefix):
                yield Reference(Kind.MANIFEST, oid)
