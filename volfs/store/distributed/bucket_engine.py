"""The distributed engine: handles on open stores, and one engine for each address and process."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from volfs.buckets.access import Bucket
from volfs.buckets.address import parse_bucket_address
from volfs.errors import AlreadyExistsError, StoreDeniedError, StoreError
from volfs.model.progress import Report
from volfs.store.contract.care import Care, RebuildReport
from volfs.store.contract.leases import Leases
from volfs.store.contract.objects import Objects, Upload
from volfs.store.contract.refs import Refs
from volfs.store.distributed.creation import create_store, examine_store
from volfs.store.distributed.machine import CANARY, find_local, open_local
from volfs.store.distributed.opened import BucketEngine
from volfs.store.distributed.place.bucket_opening import open_store_bucket
from volfs.store.distributed.place.recent_canary import is_recent, note_canary
from volfs.store.distributed.place.store_facts import StoreFacts, find_facts


class BucketStore:
    """``store.contract.store.Store``: one handle on an engine."""

    def __init__(self, engine: BucketEngine, url: str) -> None:
        self.url = url
        self.local: Path = engine.local
        self.refs: Refs = engine.refs
        self.leases: Leases = engine.leases
        self.care: Care = engine.care
        self.tables = engine.tables
        self._engine = engine
        self._closed = False
        engine.handles += 1

    @property
    def is_writable(self) -> bool:
        """Whether the service has let this process try to write. Some rights may still lack."""
        return not self._engine.denied

    def rebuild(self, report: Report) -> RebuildReport:
        """Make what this machine knows of places anew. StoreError."""
        return self._engine.care.rebuild(report)

    @property
    def unreachable_since_ns(self) -> int | None:
        return self._engine.bucket.unreachable_since_ns

    def check_writable(self) -> None:
        if self._engine.denied:
            raise StoreDeniedError(f"store {self.url}: {self._engine.denied}")

    def objects_of(self, volume_id: str) -> Objects:
        return self._engine.volumes.open(volume_id).objects

    def open_upload(self, volume_id: str) -> Upload:
        if self._closed:
            raise StoreError(f"store {self.url}: closed")
        self._engine.check_usable()
        self.check_writable()
        return self._engine.volumes.open_upload(volume_id)

    def close(self) -> None:
        """Close the handle; may be repeated. The last handle in the process closes the engine."""
        if self._closed:
            return
        self._closed = True
        with _lock:
            self._engine.handles -= 1
            if self._engine.handles == 0:
                _forget(self._engine)
                self._engine.close()


_engines: dict[tuple[int, str], BucketEngine] = {}
"""Engines by the process that opened them and their address. A process that was forked opens its
own."""
_lock = threading.Lock()


def open_distributed(url: str, create: bool) -> BucketStore:
    """Open a handle on the store in a bucket; see ``store.registry.open_store``."""
    url = parse_bucket_address(url).text
    with _lock:
        key = (os.getpid(), url)
        if key not in _engines:
            _engines[key] = _open_engine(url, create)
        return BucketStore(_engines[key], url)


def rebuild_distributed(url: str, report: Report) -> RebuildReport:
    """Make what this machine knows of places anew; see ``store.registry.rebuild_index``."""
    store = open_distributed(url, False)
    try:
        return store.rebuild(report)
    finally:
        store.close()


def _open_engine(url: str, create: bool) -> BucketEngine:
    bucket = open_store_bucket(url)
    try:
        known = _recognize(bucket, url)
        if known is not None:
            return known
        if create and find_facts(bucket, url) is None:
            with suppress(AlreadyExistsError):  # Somebody else made it at this moment.
                create_store(bucket, url)
        facts, denied = _examine(bucket, url)
        local = open_local(facts.store, url)
        if not denied:
            note_canary(local / CANARY)
        return BucketEngine(bucket, local, denied=denied)
    except BaseException:
        bucket.close()
        raise


def _recognize(bucket: Bucket, url: str) -> BucketEngine | None:
    """The engine of the store that this machine has used at the address, if that store is still
    there. StoreError.

    The facts of a store never change, so they are not asked for. The line of the catalog that this
    machine has read last proves the store, and has to be read anyhow.
    """
    local = find_local(url)
    if local is None or not is_recent(local / CANARY, bucket.world):
        return None
    engine = BucketEngine(bucket, local)
    try:
        if engine.recognize():
            return engine
    except BaseException:
        engine.close_parts()
        raise
    engine.close_parts()
    return None


def _examine(bucket: Bucket, url: str) -> tuple[StoreFacts, str]:
    """The facts of a store, and why this process may only read it; empty if it may write."""
    try:
        return examine_store(bucket, url), ""
    except StoreDeniedError as error:
        facts = find_facts(bucket, url)
        if facts is None:
            raise
        return facts, str(error)


def _begin_anew() -> None:
    """In a child after a fork: another thread may have had the lock. The engines of the parent are
    kept and never used, because to end them would end what the parent uses."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)


def _forget(engine: BucketEngine) -> None:
    for key in [key for key, other in _engines.items() if other is engine]:
        del _engines[key]
