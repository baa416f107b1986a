"""What is wrong with one pack, whose every byte is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from volfs.buckets.access import Bucket
from volfs.errors import DamagedObjectError, DataError, ObjectNotFoundError, UnsupportedFormatError
from volfs.model.logs.volume_changes import LoggedPack
from volfs.model.objects import Buffer, Oid
from volfs.model.pack import (
    PACK_HEADER_SIZE,
    Gap,
    Record,
    decode_pack_header,
    iter_records,
    pack_kind,
)
from volfs.model.segments.footer import Footer, decode_footer, locate_footer
from volfs.store.contract.care import Damage
from volfs.store.distributed.place.object_keys import pack_key
from volfs.store.packs.codec import unpack_object
from volfs.store.packs.scan import end_of_record, find_record_problem

FOOTER_END = 16
"""The last bytes of a pack, which tell where its footer is."""


class JudgedPack(NamedTuple):
    """What is in a pack, and what is wrong with it."""

    damage: list[Damage]
    records: list[Record]
    """The records that are right, with their bytes."""

    @property
    def lost(self) -> set[Oid]:
        """The objects that the pack should have and has not, as far as they are known."""
        good = {record.header.oid for record in self.records}
        return {item.oid for item in self.damage if item.oid is not None} - good


def judge_pack(bucket: Bucket, pack: LoggedPack) -> JudgedPack:
    """Read a pack, and verify each record by its id. StoreError; UnsupportedFormatError."""
    where = f"pack {pack.name}"
    try:
        data = memoryview(bucket.get(pack_key(pack.name))[1])
    except ObjectNotFoundError:
        return JudgedPack([Damage(None, where, "it is gone")], [])
    damage: list[Damage] = []
    if len(data) != pack.length:
        problem = f"it has {len(data)} bytes instead of {pack.length}"
        damage.append(Damage(None, where, problem))
    damage += (Damage(None, f"{where} at 0", problem) for problem in _judge_header(data))
    records = _judge_records(where, data, min(pack.footer, len(data)), damage)
    known = {item.oid for item in damage}
    damage += _judge_footer(where, data, pack, records, known)
    return JudgedPack(damage, records)


def judge_records(where: str, data: Buffer) -> JudgedPack:
    """The records of a line, from their bytes."""
    damage: list[Damage] = []
    return JudgedPack(damage, _judge_records(where, memoryview(data), len(data), damage, start=0))


def _judge_header(data: memoryview) -> Iterator[str]:
    try:
        decode_pack_header(data[:PACK_HEADER_SIZE])
    except UnsupportedFormatError:
        raise
    except DamagedObjectError as error:
        yield str(error)


def _judge_records(
    where: str, data: memoryview, end: int, damage: list[Damage], start: int = PACK_HEADER_SIZE
) -> list[Record]:
    records: list[Record] = []
    for item in iter_records(lambda at, length: data[at : min(at + length, end)], end, start):
        place = f"{where} at {item.offset}"
        if isinstance(item, Gap):
            damage.append(Damage(item.oid, place, f"{item.length} bytes: {item.problem}"))
            continue
        problem = _find_problem(item)
        if problem:
            damage.append(Damage(item.header.oid, place, problem))
        else:
            records.append(item)
    return records


def _find_problem(record: Record) -> str | None:
    header = record.header
    return find_record_problem(pack_kind(header.kind), record, True)


def _judge_footer(
    where: str,
    data: memoryview,
    pack: LoggedPack,
    records: list[Record],
    known: set[Oid | None],
) -> Iterator[Damage]:
    """What is wrong with the footer, and which objects it has that the pack has not."""
    try:
        footer = decode_footer(data[pack.footer : pack.length], pack.footer, pack.count)
        said = {placed.oid: placed.offset for placed in footer}
    except DataError as error:
        yield Damage(None, f"{where} at {pack.footer}", str(error))
        return
    found = {record.header.oid: end_of_record(record) - record.header.stored for record in records}
    for oid in said.keys() - found.keys() - known:
        yield Damage(oid, f"{where} at {said[oid]}", "the footer has an object that is not there")
    wrong = [oid for oid in found if said.get(oid) != found[oid]]
    if wrong:
        problem = f"the footer does not have the places of {len(wrong)} of the records"
        yield Damage(None, f"{where} at {pack.footer}", problem)


def read_footer(bucket: Bucket, name: str, size: int) -> tuple[LoggedPack, Footer]:
    """A pack of which only the name is known, as it is in the bucket. DamagedObjectError;
    StoreError."""
    key = pack_key(name)
    try:
        end = bytes(bucket.get_range(key, max(size - FOOTER_END, 0), FOOTER_END))
        if len(end) != FOOTER_END:
            raise DamagedObjectError(f"{key}: it does not have {size} bytes")
        start, count = locate_footer(end, size)
        footer = decode_footer(bucket.get_range(key, start, size - start), start, count)
    except ObjectNotFoundError:
        raise DamagedObjectError(f"{key}: it is gone") from None
    return LoggedPack(name, size, start, count), footer


def load_record(record: Record) -> Buffer:
    """The object of a record that is right."""
    return unpack_object(record.header, record.stored)
