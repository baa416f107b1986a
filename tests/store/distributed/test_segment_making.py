"""Index segments in a bucket: made, merged, looked up, and brought by large uploads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.distributed.counted import CountedDoor
from tests.store.distributed.stand_in import Said, StandInStore
from tests.store.distributed.two_machines import (
    VOLUME,
    append,
    chunks,
    door,
    here,
    publish,
    put_all,
    read_all,
    there,
)
from volfs.errors import DamagedObjectError
from volfs.model.objects import Kind, Oid, compute_oid
from volfs.model.segments import merging_segments
from volfs.model.segments.merging_segments import TIER
from volfs.store.distributed.data import bucket_upload, segment_reader, spool
from volfs.store.distributed.data.volume_packs import find_key

__all__ = ["door", "here", "there"]


@pytest.fixture(autouse=True)
def no_segment_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones would be merged at once."""
    monkeypatch.setattr(merging_segments, "SMALL", 1)


def test_checkpoints_keep_few_segments(
    here: StandInStore, there: StandInStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_reader, "BLOCKS_AT_ONCE", 2)
    put: dict[Oid, bytes] = {}
    for number in range(TIER + 2):
        put |= publish(here, [b"%d %d" % (number, n) for n in range(240)])[0]
        here.write_segment(VOLUME)
    segments = here.log_of(VOLUME).packs.list_segments()
    assert [segment.entries for segment in segments] == [240 * TIER, 240, 240]
    assert here.log_of(VOLUME).packs.list_tail() == []
    read_all(there, put)
    objects = there.objects_of(VOLUME)
    assert not objects.contains(compute_oid(Kind.CHUNK, b"another"))


def test_packs_that_are_gone_leave_the_segments(here: StandInStore, tmp_path: Path) -> None:
    old, shipment = publish(here, chunks(3))
    log = here.log_of(VOLUME)
    here.write_segment(VOLUME)
    log.append(Said(closed=[pack.name for pack in shipment.packs]))
    publish(here, old.values())
    log.append(Said(gone=[pack.name for pack in shipment.packs]))
    first, last = here.write_segment(VOLUME), here.log_of(VOLUME).packs.list_segments()
    merged = here.data.segments.merge(VOLUME, last, log.packs.has_pack)
    assert first.entries == merged.entries == 3
    for pack in shipment.packs:
        here.bucket.delete(find_key(pack.name))
    log.append(Said(segments=[merged], covered=True))
    cold = StandInStore(here.bucket, tmp_path / "cold")
    read_all(cold, old)
    cold.close()


def test_an_upload_of_many_packs_brings_a_segment(
    here: StandInStore, there: StandInStore, door: CountedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "FULL", 100_000)
    monkeypatch.setattr(bucket_upload, "MANY", 8)
    with here.open_upload(VOLUME) as upload:
        put = put_all(upload, chunks(12))
        before = upload.ship()
        (segment,) = before.segments
        assert upload.ship() == before, "once, not each time"
        upload.replace([before.packs[0].name])
        shipment, _ = append(here, upload)
        assert shipment.segments != before.segments
    assert len(shipment.packs) == segment.entries == 12
    there.log_of(VOLUME)
    door.asked.clear()
    assert there.objects_of(VOLUME).load_object(next(iter(put)))
    assert door.count("GET") <= 3, "a segment, a footer, an object"
    read_all(there, put)
    few = publish(here, chunks(3, seed=1))[1]
    assert few.segments == ()


def test_a_damaged_segment_hides_nothing_else(
    here: StandInStore, there: StandInStore, door: CountedDoor
) -> None:
    """What is not in it is found, and what is only there is damaged, not missing."""
    first, _ = publish(here, chunks(3))
    segment = here.write_segment(VOLUME)
    second, _ = publish(here, chunks(3, seed=1))
    here.write_segment(VOLUME)
    third, _ = publish(here, chunks(3, seed=2))
    here.bucket.put(segment.key, bytes(segment.length))
    read_all(there, second | third)

    with pytest.raises(DamagedObjectError, match="segment"):
        read_all(there, first)
    with there.open_upload(VOLUME) as upload:
        assert upload.rely_on(next(iter(second)))
        assert not upload.rely_on(next(iter(first)))
        put_all(upload, first.values())
        append(there, upload)
    read_all(there, first | second | third)
