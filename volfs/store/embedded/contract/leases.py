"""The embedded engine's ``Leases``: rows of the index, and locks of the kernel."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from volfs.model.objects import Oid
from volfs.store.contract.leases import Lease
from volfs.store.embedded.opened import Engine


class EmbeddedLeases:
    """``store.contract.leases.Leases``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._leases = engine.leases

    def put(self, lease: Lease) -> None:
        if self._engine.environment.is_writable:
            self._leases.put(lease)
        else:
            self._engine.held_leases.put(lease)

    def find(self, session: str) -> Lease | None:
        return self._engine.held_leases.find(session) or self._leases.find(session)

    def list_all(self) -> list[Lease]:
        return self._leases.list_all()

    def drop(self, session: str, expected: Lease | None = None) -> None:
        if self._engine.environment.is_writable:
            self._leases.drop(session, expected)
        else:
            self._engine.held_leases.drop(session)

    def list_damaged(self, sessions: Iterable[str]) -> list[str | None]:
        return self._leases.list_damaged(sessions)

    # --- holds -----------------------------------------------------------

    def hold(self, manifest: Oid) -> AbstractContextManager[None]:
        return self._engine.holds.hold(manifest)

    def is_held(self, manifest: Oid) -> bool:
        return self._engine.holds.is_held(manifest)
