"""Leases in a store that cannot be written: their versions are held as long as the leases last."""

from __future__ import annotations

from contextlib import ExitStack

from volfs.store.checked_lmdb.environment import LmdbEnvironment
from volfs.store.contract.lease import Lease
from volfs.store.embedded.refs.refs import RefRows
from volfs.store.holds import Holds


class HeldLeases:
    """The leases of this process alone; other processes see the holds. Not thread-safe: one mount
    is one process."""

    def __init__(self, environment: LmdbEnvironment, refs: RefRows, holds: Holds) -> None:
        self._environment = environment
        self._refs = refs
        self._holds = holds
        self._held: dict[str, tuple[Lease, ExitStack]] = {}

    def put(self, lease: Lease) -> None:
        """Put a lease, and hold its versions. NotFoundError if one of its versions is not
        there."""
        with self._environment.read() as txn:
            self._refs.check_versions(txn, lease.volume_id, lease.versions)
            found = [
                self._refs.find_version_in(txn, lease.volume_id, version)
                for version in lease.versions
            ]
        with ExitStack() as stack:
            for manifest in filter(None, found):
                stack.enter_context(self._holds.hold(manifest))
            self.drop(lease.session)
            self._held[lease.session] = (lease, stack.pop_all())

    def find(self, session: str) -> Lease | None:
        return self._held[session][0] if session in self._held else None

    def drop(self, session: str) -> None:
        if session in self._held:
            self._held.pop(session)[1].close()

    def close(self) -> None:
        for session in list(self._held):
            self.drop(session)
