"""What gc begins with: all that versions, heads, holds and leases need."""

from __future__ import annotations

from collections.abc import Collection

from volfs.model.objects import Kind
from volfs.model.references import Reference
from volfs.store.checked_lmdb.environment import Transaction
from volfs.store.contract.leases import Lease
from volfs.store.embedded.data.index import Index
from volfs.store.embedded.refs.holds import Holds
from volfs.store.embedded.refs.leases import Leases
from volfs.store.embedded.refs.refs import Refs


class Roots:
    def __init__(self, index: Index, refs: Refs, leases: Leases, holds: Holds) -> None:
        self._index = index
        self._refs = refs
        self._leases = leases
        self._holds = holds

    def list_in(self, txn: Transaction, ended: Collection[Lease]) -> set[Reference]:
        """The roots as of the transaction, without the needs of leases that have ``ended``."""
        roots = {Reference(Kind.MANIFEST, oid) for oid in self._refs.list_manifests(txn)}
        for prefix in self._holds.list_held():
            # A hold on a version that is not there any more keeps nothing.
            found = self._index.find_manifests(txn, prefix)
            roots.update(Reference(Kind.MANIFEST, oid) for oid in found)
        for lease in self._leases.list_in(txn):
            if lease not in ended:
                roots.update(lease.needs)
        return roots
