"""The embedded engine: handles on open stores, and one engine for each directory."""

from __future__ import annotations

import threading
from pathlib import Path

from volfs.errors import (
    StoreError,
)
from volfs.store.contract.care import Care
from volfs.store.contract.leases import Leases
from volfs.store.contract.objects import Objects, Upload
from volfs.store.contract.refs import Refs
from volfs.store.embedded.contract.care import EmbeddedCare
from volfs.store.embedded.contract.leases import EmbeddedLeases
from volfs.store.embedded.contract.refs import EmbeddedRefs
from volfs.store.embedded.opened import Engine
from volfs.store.embedded.place.handle import find_intact
from volfs.store.embedded.place.layout import create_store
from volfs.system.directories import Identity


class EmbeddedStore:
    """``store.contract.store.Store``: one handle on an engine."""

    unreachable_since_ns: int | None = None

    def __init__(self, engine: Engine, address: Path) -> None:
        self.url = str(engine.path)
        self.local = engine.path
        self._address = address
        self._engine = engine
        self.refs: Refs = EmbeddedRefs(engine, self.open_upload)
        self.leases: Leases = EmbeddedLeases(engine)
        self.care: Care = EmbeddedCare(engine)
        self._closed = False

    @property
    def is_writable(self) -> bool:
        return self._engine.environment.is_writable

    def check_writable(self) -> None:
        self._engine.environment.check_writable()

    def objects_of(self, volume_id: str) -> Objects:
        return self._engine.objects  # all volumes share one index

    def open_upload(self, volume_id: str) -> Upload:
        if self._closed:
            raise StoreError(f"store {self.url}: closed")
        self._engine.environment.check_usable()
        self._engine.environment.check_writable()
        engine = self._engine
        engine.proof.check()
        return engine.packs.open_upload()

    def close(self) -> None:
        """Close the handle; may be repeated. The last handle in the process closes the engine."""
        if not self._closed:
            self._closed = True
            _let_go(self._engine, self._address)


# --- one engine per directory and process -----------------------------------

_engines: dict[Identity, Engine] = {}
"""Engines by the identity of their directories, so that two paths to one directory share an
engine."""
_lock = threading.Lock()


def open_embedded(location: str, create: bool) -> EmbeddedStore:
    """Open a handle on the store in a directory; see ``store.registry.open_store``."""
    address = Path(location).absolute()
    with _lock:
        if create:
            create_store(address)
        engine = find_intact(_engines, address)
        if engine is None:
            engine = Engine(address)
            _engines[engine.handle.identity] = engine
        else:
            engine.environment.check_usable()
            engine.handle.add_address(address)
            engine.compare_at(address)
        engine.handles += 1
        return EmbeddedStore(engine, address)


def _let_go(engine: Engine, address: Path) -> None:
    with _lock:
        engine.handles -= 1
        engine.handle.drop_address(address)
        if engine.handles == 0:
            if _engines.get(engine.handle.identity) is engine:
                del _engines[engine.handle.identity]
            engine.close()
