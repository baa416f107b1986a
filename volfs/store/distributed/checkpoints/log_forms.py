"""The contents of the checkpoints of plain logs: the catalog, the log of gc, the log of tables.

A plain log has nothing beside it but checkpoints. The log of a volume has more:
``volume_checkpoints``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from volfs.model.logs.catalog_log import CATALOG_MAGIC, CatalogState, decode_catalog, encode_catalog
from volfs.model.logs.gc_log import GC_MAGIC, GcState, decode_gc, encode_gc
from volfs.model.logs.table_log import TABLES_MAGIC, TablesState, decode_tables, encode_tables
from volfs.model.objects import Buffer
from volfs.store.distributed.log.follower import KnownLog

State = TypeVar("State")


class LogForm(NamedTuple, Generic[State]):
    """The contents of the checkpoints of one kind of plain log."""

    magic: bytes
    encode: Callable[[KnownLog[State]], bytes]
    decode: Callable[[Buffer], KnownLog[State]]
    """DamagedObjectError for a content that no volfs writes."""


def _encode_catalog(known: KnownLog[CatalogState]) -> bytes:
    return encode_catalog(known.state, known.digest)


def _decode_catalog(content: Buffer) -> KnownLog[CatalogState]:
    state, digest = decode_catalog(content)
    return KnownLog(state, state.number, digest)


def _encode_gc(known: KnownLog[GcState | None]) -> bytes:
    assert known.state is not None
    return encode_gc(known.state, known.digest)


def _decode_gc(content: Buffer) -> KnownLog[GcState | None]:
    state, digest = decode_gc(content)
    return KnownLog(state, state.number, digest, state.number)  # Line K of gc is era K.


def _encode_tables(known: KnownLog[TablesState]) -> bytes:
    return encode_tables(known.state, known.digest)


def _decode_tables(content: Buffer) -> KnownLog[TablesState]:
    state, digest = decode_tables(content)
    return KnownLog(state, state.number, digest)


CATALOG_FORM = LogForm[CatalogState](CATALOG_MAGIC, _encode_catalog, _decode_catalog)
GC_FORM = LogForm["GcState | None"](GC_MAGIC, _encode_gc, _decode_gc)
TABLES_FORM = LogForm[TablesState](TABLES_MAGIC, _encode_tables, _decode_tables)
