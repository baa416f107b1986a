"""Several index segments made one: the union, in which the latest place of an object counts."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from volfs.model.objects import Oid
from volfs.model.segments.packs_named import NamedPack
from volfs.model.segments.segment import SegmentDirectory, SegmentEntry
from volfs.model.segments.segment_writer import SegmentWriter, Write

TIER = 8
"""So many segments of about one size become one."""
SMALL = TIER**4
"""Segments of fewer entries become one whenever there are two of them."""


class MergedSource(NamedTuple):
    """One of the segments, and its entries in the order of ids."""

    directory: SegmentDirectory
    entries: Iterable[SegmentEntry]


def merge_segments(
    write: Write,
    sources: Sequence[MergedSource],
    is_there: Callable[[NamedPack], bool] = lambda pack: True,
) -> SegmentWriter:
    """Write the union of segments, oldest first.

    Packs that are not there any more are left out, so that an older place of the same object
    counts.
    """
    writer = SegmentWriter(write, sum(source.directory.count for source in sources))
    last = Oid(b"")
    for oid, pack, offset, stored in heapq.merge(
        # Of equal ids the one of the first argument comes first: the latest.
        *(_iter_placed(source, is_there) for source in reversed(sources)),
        key=itemgetter(0),
    ):
        if oid != last:
            writer.add(oid, pack, offset, stored)
            last = oid
    for source in sources:
        for named in filter(is_there, source.directory.packs):
            writer.add_pack(named)
    return writer


def _iter_placed(
    source: MergedSource, is_there: Callable[[NamedPack], bool]
) -> Iterator[tuple[Oid, NamedPack, int, int]]:
    packs = source.directory.packs
    there = [is_there(pack) for pack in packs]
    for oid, pack, offset, stored in source.entries:
        if there[pack]:
            yield oid, packs[pack], offset, stored


def choose_tier(counts: Sequence[int]) -> int:
    """How many of the latest segments should become one, given their counts, oldest first.

    0 if none should. Sizes are powers of ``TIER``. So each entry is written about once for each
    power, and there are never more than ``TIER`` segments of a size. There is never more than one
    that is ``SMALL``, because to read it costs about as much as to read a large one.
    """
    small = next((at for at, count in enumerate(reversed(counts)) if count >= SMALL), len(counts))
    if small > 1:
        return small
    chosen, total = 0, 0
    for size in range(1, len(counts) + 1):
        total += counts[-size]
        # The latest ones that are all of one size, or smaller.
        tier = _find_tier(counts[-size])
        run = counts[len(counts) - size :]
        if size >= TIER and sum(_find_tier(count) == tier for count in run) >= TIER:
            chosen = size
    return chosen


def _find_tier(count: int) -> int:
    tier = 0
    while count >= TIER:
        count //= TIER
        tier += 1
    return tier
