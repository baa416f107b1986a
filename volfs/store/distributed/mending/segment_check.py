"""What is wrong with an index segment: its sums, and whether it leads to what packs have."""

from __future__ import annotations

from collections import Counter

from volfs.buckets.access import Bucket
from volfs.errors import DamagedObjectError, DataError, ObjectNotFoundError, UnsupportedFormatError
from volfs.model.logs.volume_changes import LoggedSegment
from volfs.model.logs.volume_log import VolumeState
from volfs.model.objects import Buffer
from volfs.model.segments.segment import SegmentDirectory, decode_segment, iter_entries
from volfs.store.distributed.mending.pack_check import read_footer
from volfs.store.distributed.place.object_keys import segment_name


def judge_segment(bucket: Bucket, segment: LoggedSegment, state: VolumeState) -> str | None:
    """What is wrong with a segment of a volume, in words; or None. StoreError."""
    try:
        data = bucket.get(segment_name(segment.volume, segment.name))[1]
    except ObjectNotFoundError:
        return "it is gone"
    if len(data) != segment.length:
        return f"it has {len(data)} bytes instead of {segment.length}"
    try:
        directory = decode_segment(data, segment.directory)
        if directory.count != segment.count:
            raise DamagedObjectError(f"{directory.count} objects instead of {segment.count}")
        return _judge_places(bucket, directory, data, state)
    except UnsupportedFormatError:
        raise
    except DataError as error:
        return str(error)


def _judge_places(
    bucket: Bucket, directory: SegmentDirectory, data: Buffer, state: VolumeState
) -> str | None:
    """Whether each entry leads to a record, as far as the footers of the packs can be read."""
    wanted = Counter(entry.pack for entry in iter_entries(directory, data))
    places = {(entry.oid, entry.pack): entry.offset for entry in iter_entries(directory, data)}
    for number, pack in enumerate(directory.packs):
        if pack.is_line or pack.name not in state.packs.packs:
            continue
        try:
            _, footer = read_footer(bucket, pack.name, pack.length)
        except DataError:
            continue  # The check of packs says so.
        right = sum(places.get((placed.oid, number)) == placed.offset for placed in footer)
        if right != wanted[number]:
            return f"it has wrong places of {wanted[number] - right} objects in pack {pack.name}"
    return None
