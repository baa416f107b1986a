"""The embedded engine's ``Leases``: rows of the index, and locks of the kernel."""

from __future__ import annotations

from contextlib import AbstractContextManager

from volfs.errors import LeaseLostError
from volfs.store.contract.lease import Lease, SeenLease
from volfs.store.contract.refs import Head
from volfs.store.embedded.opened import Engine
from volfs.store.holds import PREFIX_SIZE


class EmbeddedLeases:
    """``store.contract.leases.Leases``. A process that sees the store's directory sees its
    sessions."""

    host = ""
    pause = 0.0
    renewal = 6 * 3600.0

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._leases = engine.leases

    def put(self, lease: Lease) -> None:
        if self._engine.environment.is_writable:
            self._leases.put(lease)
        else:
            self._engine.held_leases.put(lease)

    def renew(self, lease: Lease) -> None:
        if self.find(lease.session) is None:
            raise LeaseLostError("the lease was lost: somebody has dropped it")

    def find(self, session: str) -> Lease | None:
        return self._engine.held_leases.find(session) or self._leases.find(session)

    def list_all(self) -> list[Lease]:
        return self._leases.list_all()

    def list_seen(self) -> list[SeenLease]:
        return [SeenLease(lease, None) for lease in self.list_all()]

    def revoke(self, session: str, expected: Lease) -> bool:
        is_there = self.find(session) == expected
        self.drop(session, expected)
        return is_there

    def drop(self, session: str, expected: Lease | None = None) -> None:
        if self._engine.environment.is_writable:
            self._leases.drop(session, expected)
        else:
            self._engine.held_leases.drop(session)

    def list_damaged(self) -> list[str | None]:
        return self._leases.list_damaged()

    # --- holds -----------------------------------------------------------

    def hold(self, volume_id: str, head: Head) -> AbstractContextManager[None]:
        return self._engine.holds.hold(head.manifest)

    def judge_hold(self, lease: Lease) -> bool | None:
        return None  # A hold has no lease.

    def list_held(self, volume_id: str) -> list[int]:
        held = self._engine.holds.list_held()
        heads = self._engine.refs.iter_versions(volume_id) if held else ()
        return sorted(head.version for head in heads if head.manifest[:PREFIX_SIZE] in held)
