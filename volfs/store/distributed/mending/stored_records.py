"""The records of a whole store, in packs and in lines, whether or not a log names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from volfs.buckets.access import Bucket
from volfs.errors import DataError, ObjectNotFoundError
from volfs.model.objects import Kind, Oid
from volfs.model.pack import (
    RECORD_HEADER_SIZE,
    Gap,
    Record,
    RecordHeader,
    iter_records,
    pack_kind,
)
from volfs.store.distributed.mending.found_log import iter_found
from volfs.store.distributed.mending.inventory import Inventory
from volfs.store.distributed.mending.pack_check import read_footer
from volfs.store.distributed.place.object_keys import pack_key
from volfs.store.packs.scan import find_record_problem

Wants = Callable[[RecordHeader], bool]


def iter_stored(bucket: Bucket, found: Inventory, wants: Wants) -> Iterator[Record]:
    """The right records whose headers are wanted, lines first. StoreError.

    ``wants`` is asked as records come, so it may stop wanting what it got.
    """
    for volume in found.volumes.values():
        for line in iter_found(bucket, volume.log):
            yield from _iter_wanted(memoryview(line.records), wants, 0)
    for name, info in found.packs.items():
        yield from _iter_pack(bucket, name, info.size, wants)


def _iter_pack(bucket: Bucket, name: str, size: int, wants: Wants) -> Iterator[Record]:
    try:
        _, footer = read_footer(bucket, name, size)
    except DataError:
        yield from _scan_pack(bucket, name, wants)
        return
    for placed in footer:
        if not wants(placed.header):
            continue
        start = placed.offset - RECORD_HEADER_SIZE
        length = RECORD_HEADER_SIZE + placed.header.stored
        data = bucket.get_range(pack_key(name), start, length)
        yield from _iter_wanted(memoryview(data), wants, 0)


def _scan_pack(bucket: Bucket, name: str, wants: Wants) -> Iterator[Record]:
    try:
        data = bucket.get(pack_key(name))[1]
    except ObjectNotFoundError:
        return
    yield from _iter_wanted(memoryview(data), wants, 0)


def _iter_wanted(data: memoryview, wants: Wants, start: int) -> Iterator[Record]:
    for item in iter_records(lambda at, length: data[at : at + length], len(data), start):
        if isinstance(item, Gap) or not wants(item.header):
            continue
        if find_record_problem(pack_kind(item.header.kind), item, True) is None:
            yield item


def find_records(bucket: Bucket, found: Inventory, wanted: set[Oid]) -> dict[Oid, Record]:
    """A right record of each of these objects, wherever in the store it is. StoreError."""
    got: dict[Oid, Record] = {}

    def wants(header: RecordHeader) -> bool:
        return header.oid in wanted and header.oid not in got

    for record in iter_stored(bucket, found, wants):
        got[record.header.oid] = record._replace(stored=bytes(record.stored))
        if len(got) == len(wanted):
            break
    return got


def iter_manifest_records(bucket: Bucket, found: Inventory) -> Iterator[Record]:
    """Every manifest that is stored and right, once. StoreError."""
    seen: set[Oid] = set()

    def wants(header: RecordHeader) -> bool:
        return header.kind is Kind.MANIFEST and header.oid not in seen

    for record in iter_stored(bucket, found, wants):
        seen.add(record.header.oid)
        yield record
