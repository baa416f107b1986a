"""The lines of a log as they are in the bucket: whole, damaged, or gone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from volfs.buckets.access import Bucket
from volfs.errors import DamagedObjectError, ObjectNotFoundError
from volfs.model.logs.line import Line, decode_line, digest_line, read_unproven
from volfs.model.objects import Buffer
from volfs.store.distributed.mending.inventory import LogObjects

AT_ONCE = 16
GONE = "the line is gone, and a later one is there"


class FoundLine(NamedTuple):
    """What is stored under the number of a line."""

    number: int
    key: str
    line: Line | None
    """None if it is damaged or gone."""
    problem: str = ""
    said: Line | None = None
    """What the bytes of a damaged line say. Only the digest in the next line proves it."""
    records: Buffer = b""
    """The bytes of the records, whether or not the line is whole."""
    size: int = 0

    @property
    def any_line(self) -> Line | None:
        return self.line or self.said


def iter_found(bucket: Bucket, log: LogObjects, first: int = 0) -> Iterator[FoundLine]:
    """What is stored under each number from ``first`` to the last line. StoreError;
    UnsupportedFormatError."""
    for start in range(first, log.end + 1, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, log.end + 1))
        yield from bucket.world.gather([partial(find_line, bucket, log, n) for n in numbers])


def find_line(bucket: Bucket, log: LogObjects, number: int) -> FoundLine:
    """One line. StoreError; UnsupportedFormatError."""
    key = log.place.line(number)
    try:
        data = bucket.get(key)[1]
    except ObjectNotFoundError:
        return FoundLine(number, key, None, GONE)
    try:
        line = decode_line(data)
    except DamagedObjectError as error:
        said, records = read_unproven(data) or (None, b"")
        return FoundLine(number, key, None, str(error), said, records, len(data))
    return FoundLine(number, key, line, records=line.records, size=len(data))


def iter_proven(found: Iterator[FoundLine]) -> Iterator[FoundLine]:
    """The same, in which a damaged line says only what the line after it proves."""
    before: FoundLine | None = None
    for each in found:
        if before is not None:
            yield _prove(before, each.line)
        before = each
    if before is not None:
        yield _prove(before, None)


def _prove(found: FoundLine, after: Line | None) -> FoundLine:
    said = found.said
    if said is None or (after is not None and digest_line(said) == after.prev):
        return found
    return found._replace(said=None)
