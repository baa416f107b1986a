"""How many requests objects in a bucket cost: counted, not measured."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.store.contract import noise
from tests.store.distributed.counted import CountedDoor
from tests.store.distributed.stand_in import MIB, StandInStore
from tests.store.distributed.two_machines import (
    VOLUME,
    append,
    chunks,
    door,
    here,
    publish,
    put_all,
    read_all,
    small_packs,
    there,
)
from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.errors import StoreError
from volfs.model.objects import Kind, compute_oid
from volfs.store.distributed.data.spool import Spool

__all__ = ["door", "here", "small_packs", "there"]


def test_a_small_publication_is_one_put(here: StandInStore, door: CountedDoor) -> None:
    log = here.log_of(VOLUME)
    door.asked.clear()
    put, shipment = publish(here, chunks(10, 1000))
    assert shipment.packs == ()
    assert shipment.record_count == 10
    read_all(here, put)
    assert [asked.verb for asked in door.asked] == ["PUT"]
    assert log.refreshed == 1


def test_what_is_too_much_for_a_line_goes_into_packs(here: StandInStore, door: CountedDoor) -> None:
    """And nothing is read back, whatever becomes of the upload's own memory."""
    here.log_of(VOLUME)
    for datas, packs, records in (
        (chunks(257, 10), 1, 0),
        (chunks(2, 70_000, seed=1), 1, 0),
        (chunks(1, 100_000, seed=2), 0, 1),
        (chunks(256, 10, seed=3), 0, 256),
    ):
        door.asked.clear()
        put, shipment = publish(here, datas)
        assert (len(shipment.packs), shipment.record_count) == (packs, records)
        read_all(here, put)
        assert [asked.verb for asked in door.asked] == ["PUT"] * (packs + 1)


def test_the_smaller_kind_travels_in_the_line(here: StandInStore) -> None:
    with here.open_upload(VOLUME) as upload:
        put_all(upload, chunks(3))
        tree = upload.put_object(Kind.TREE, b"a tree")
        shipment, _ = append(here, upload)
    assert (len(shipment.packs), shipment.record_count) == (1, 1)
    assert here.objects_of(VOLUME).load_object(tree) == b"a tree"


@pytest.mark.usefixtures("small_packs")
def test_packs_are_put_in_parallel_while_others_fill(here: StandInStore, door: CountedDoor) -> None:
    here.log_of(VOLUME)
    door.asked.clear()
    both = threading.Barrier(2)

    def wait_for_another(key: str) -> None:
        if "packs/" in key and door.count("PUT", "packs/") <= 2:
            both.wait(60)

    door.before_put = wait_for_another
    with here.open_upload(VOLUME) as upload:
        put = put_all(upload, chunks(33))
        assert door.count("PUT", "packs/") >= 2, "before anybody waits for them"
        shipment, _ = append(here, upload)
    assert len(shipment.packs) == 3
    assert shipment.record_count == 0
    assert sum(pack.records for pack in shipment.packs) == 33
    assert all(pack.length < 1.3 * MIB for pack in shipment.packs)
    read_all(here, put)
    assert [asked.verb for asked in door.asked] == ["PUT"] * 4
    assert 2 <= door.most_puts <= 8


def test_a_cold_reader_needs_few_requests_for_the_index(
    here: StandInStore, there: StandInStore, door: CountedDoor
) -> None:
    base = noise(MIB)
    datas = [number.to_bytes(4, "little") + base[4:] for number in range(130)]
    put, shipment = publish(here, datas)
    assert [pack.length >> 20 for pack in shipment.packs] == [64, 64, 2]
    for with_segment in (False, True):
        if with_segment:
            segment = here.write_segment(VOLUME)
            reader = StandInStore(here.bucket, there.local / "again")
        else:
            reader = there
        reader.log_of(VOLUME)
        door.asked.clear()
        read_all(reader, put)
        footers = {f"packs/{pack.name[:2]}/{pack.name}": pack.footer for pack in shipment.packs}
        index = [
            asked
            for asked in door.asked
            if asked.span is None or asked.span[0] + asked.span[1] > footers.get(asked.key, 0)
        ]
        # The last bytes of a pack come with its footer, or the footer with them.
        assert len(index) <= 2 * len(footers) + with_segment
        assert len(index) <= max(0.1 * len(door.asked), 2 * len(footers) + with_segment)
        assert door.count("GET") == len(door.asked) < 60
        assert door.count("GET", "/x/") == with_segment
        if with_segment:
            assert segment.entries == 130
            reader.close()
    # The places are known from now on, also to a process that begins anew.
    there.close()
    again = StandInStore(here.bucket, there.local)
    again.log_of(VOLUME)
    door.asked.clear()
    assert all(again.objects_of(VOLUME).contains(oid) for oid in put)
    assert door.asked == []
    again.close()


@pytest.mark.usefixtures("small_packs")
def test_what_others_put_is_found_where_it_pays(
    here: StandInStore, there: StandInStore, door: CountedDoor
) -> None:
    put, _ = publish(here, chunks(20))
    here.write_segment(VOLUME)
    with there.open_upload(VOLUME) as upload:
        door.asked.clear()
        put_all(upload, list(put.values())[:3])
        assert upload.new_objects == 3, "a small upload asks nothing"
        assert door.asked == []
        put_all(upload, chunks(12, seed=1))
        new = upload.new_objects
        door.asked.clear()
        put_all(upload, list(put.values())[3:])
        assert upload.new_objects == new, "a large one asks the filter, and then a footer"
        assert len(door.asked) <= 4
        door.asked.clear()
        put_all(upload, chunks(30, seed=2))
        assert upload.new_objects == new + 30
        assert door.count("GET") == 0, "for what is new the filter is enough"
        shipment, _ = append(there, upload)
    assert len(shipment.relies) >= 1
    read_all(there, put)


def test_who_relies_on_an_object_by_its_id_is_told_for_sure(
    here: StandInStore, there: StandInStore
) -> None:
    put, _ = publish(here, chunks(3, 1000))
    with there.open_upload(VOLUME) as upload:
        assert all(upload.rely_on(oid) for oid in put)
        assert not upload.rely_on(compute_oid(Kind.CHUNK, b"nobody's"))
        assert upload.new_objects == 0


def test_a_pack_that_was_not_seen_for_a_week_is_asked_for(
    here: StandInStore, door: CountedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, shipment = publish(here, chunks(3))
    here.close()
    again = StandInStore(here.bucket, here.local)
    monkeypatch.setattr("volfs.store.distributed.data.bucket_packs.BELIEVED", -1)
    again.log_of(VOLUME)
    door.asked.clear()
    with again.open_upload(VOLUME) as upload:
        put_all(upload, put.values())
        assert upload.new_objects == 0
    assert [asked.verb for asked in door.asked] == ["HEAD"], "one for the pack"
    again.close()
    (pack,) = shipment.packs
    here.bucket.delete(f"packs/{pack.name[:2]}/{pack.name}")
    last = StandInStore(here.bucket, here.local)
    with last.open_upload(VOLUME) as upload:
        put_all(upload, put.values())
        assert upload.new_objects == 3, "what is gone is put again"
    last.close()


@pytest.mark.usefixtures("small_packs")
def test_a_pack_that_could_not_be_put_is_put_again(here: StandInStore, door: CountedDoor) -> None:
    failures = [True] * 2

    def refuse(key: str) -> None:
        if "packs/" in key and failures:
            failures.pop()
            raise RequestFailure(FailureKind.DENIED, "no", status=403)

    door.before_put = refuse
    with here.open_upload(VOLUME) as upload:
        put = put_all(upload, chunks(25))
        with pytest.raises(StoreError):
            upload.ship()
        assert all(upload.load_object(oid) == data for oid, data in put.items())
        put |= put_all(upload, chunks(3, seed=1))
        shipment, _ = append(here, upload)
    assert sum(pack.records for pack in shipment.packs) + shipment.record_count == 28
    read_all(here, put)


def test_nothing_is_left_of_an_upload_that_was_left(
    here: StandInStore, door: CountedDoor, tmp_path: Path
) -> None:
    with here.open_upload(VOLUME) as upload:
        (oid,) = put_all(upload, chunks(1, 2 * MIB))
        assert upload.load_object(oid)
        spool: Spool = upload._bucket_sink._open[next(iter(upload._bucket_sink._open))]
        assert spool._file >= 0
    assert list((tmp_path / "here" / "cache" / "spool").iterdir()) == []
    assert door.count("PUT") == 0
    assert spool.read_at(0, 1) is None
    assert not here.objects_of(VOLUME).contains(oid)
