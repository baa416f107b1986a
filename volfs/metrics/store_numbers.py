"""The numbers of stores as samples of Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from volfs.metrics.metric_numbers import Family, NumberKey, NumberKind, NumbersByKey
from volfs.metrics.stores import FoundStore, Measurement
from volfs.model.text import show


def _f(name: str, kind: NumberKind, help: str) -> Family:
    return Family(f"volfs_{name}", kind, help, ("store",))


READABLE = _f("store_up", "gauge", "1 if the last attempt to measure the store succeeded, else 0.")
MEASURED = _f("store_measured_timestamp_seconds", "gauge", "When the store was measured last.")
VOLUMES = _f("store_volumes", "gauge", "Volumes of all environments.")
PACKS = _f("store_packs", "gauge", "Packs, those in quarantine included.")
SIZE = _f("store_size_bytes", "gauge", "Bytes of all packs, those in quarantine included.")
WAITING = _f("store_quarantined_bytes", "gauge", "Bytes that gc put into quarantine.")
DISK = _f("store_disk_size_bytes", "gauge", "Size of the disk that the store is on.")
FREE = _f("store_disk_free_bytes", "gauge", "Free bytes of the disk that the store is on.")
GC_AT = _f("gc_last_run_timestamp_seconds", "gauge", "When this machine's last gc ended.")
GC_LIVE = _f("gc_last_live_bytes", "gauge", "Bytes in use that the last gc found.")
GC_DELETED = _f("gc_last_deleted_bytes", "gauge", "Bytes that the last gc deleted.")
GC_STARVED = _f("gc_last_starved_packs", "gauge", "Packs that the last gc had no room to rewrite.")
STORE_FAMILIES = (
    *(READABLE, MEASURED, VOLUMES, PACKS, SIZE, WAITING, DISK, FREE),
    *(GC_AT, GC_LIVE, GC_DELETED, GC_STARVED),
)


def count_stores(measured: Mapping[str, Measurement]) -> NumbersByKey:
    """The numbers of all stores."""
    found: NumbersByKey = {}
    for url, one in measured.items():
        labels = (show(url),)
        found[NumberKey(READABLE, labels)] = float(one.facts is not None and not one.failed)
        if one.facts is not None:
            found[NumberKey(MEASURED, labels)] = one.at
            found |= {NumberKey(family, labels): value for family, value in _iter_facts(one.facts)}
    return found


def _iter_facts(facts: FoundStore) -> Iterator[tuple[Family, float]]:
    yield VOLUMES, facts.volumes
    yield PACKS, facts.size.packs
    yield SIZE, facts.size.bytes
    yield WAITING, facts.size.waiting_bytes
    if facts.space is not None:
        yield DISK, facts.space.total
        yield FREE, facts.space.free
    if facts.last_gc is not None:
        yield GC_AT, facts.last_gc.ended_ns / 1e9
        yield GC_LIVE, facts.last_gc.report.live_bytes
        yield GC_DELETED, facts.last_gc.report.deleted_bytes
        yield GC_STARVED, facts.last_gc.report.starved_packs
