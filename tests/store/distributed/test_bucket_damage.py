"""Damage: in the bucket, on the way, in the caches; and packs that are gone."""

from __future__ import annotations

import os

import pytest

from tests.store.distributed.counted import CountedDoor, Span
from tests.store.distributed.stand_in import MIB, Said, StandInStore
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
from volfs.buckets.cache.cache_layout import BLOCK
from volfs.errors import DamagedObjectError, DataError, MissingObjectError
from volfs.model.objects import Kind
from volfs.model.segments.packs_named import NamedPack
from volfs.store.distributed.data.volume_packs import find_key

__all__ = ["door", "here", "small_packs", "there"]


def change(store: StandInStore, pack: NamedPack, at: int) -> None:
    """Change one byte of a pack in the bucket."""
    key = find_key(pack.name)
    data = bytearray(store.bucket.get(key)[1])
    data[at] ^= 0x10
    store.bucket.put(key, bytes(data))


def test_damage_in_the_bucket_is_told_after_one_more_request(
    here: StandInStore, there: StandInStore, door: CountedDoor
) -> None:
    put, shipment = publish(here, chunks(8, 300_000))
    (pack,) = shipment.packs
    footer = here.data.finder.load_footer(pack)
    wrong = min(footer, key=lambda record: record.offset)
    change(here, pack, wrong.offset + 200_000)
    objects = there.objects_of(VOLUME)
    with pytest.raises(DamagedObjectError, match=f"{wrong.oid.hex()} in pack {pack.name}"):
        objects.load_object(wrong.oid)
    spans = [asked.span for asked in door.asked if asked.key == find_key(pack.name) and asked.span]
    assert sum(offset == 0 for offset, _ in spans) == 2
    assert objects.read_object_ready(wrong.oid, 0, 250_000) is None
    read_all(there, {oid: data for oid, data in put.items() if oid != wrong.oid})
    # A machine that has it in its cache reads it as before.
    read_all(here, put)


def test_damage_on_the_way_is_not_noticed(
    here: StandInStore, there: StandInStore, door: CountedDoor
) -> None:
    """Each block of 64 KiB comes wrong once: of footers, of segments, of records."""
    put, _ = publish(here, chunks(8, 300_000))
    here.write_segment(VOLUME)
    there.log_of(VOLUME)
    come: set[tuple[str, int]] = set()

    def flip_once(key: str, span: Span, data: bytes) -> bytes:
        changed = bytearray(data)
        first = span[0] if span else 0
        for at in range(0, len(data), BLOCK):
            if (key, (first + at) // BLOCK) not in come:
                come.add((key, (first + at) // BLOCK))
                changed[at : at + BLOCK] = bytes(b ^ 1 for b in changed[at : at + BLOCK])
        return bytes(changed)

    door.damage = flip_once
    read_all(there, put)
    assert len(come) >= 30
    # The cache has the right bytes now.
    assert there.data.packs._packs._bucket.writer.drain(60)  # type: ignore[attr-defined]
    there.close()
    door.damage = lambda key, span, data: bytes(len(data))
    again = StandInStore(here.bucket, there.local)
    again.logs[VOLUME] = there.log_of(VOLUME)
    read_all(again, put)
    again.close()


def test_damage_in_the_cache_is_healed_in_silence(here: StandInStore, door: CountedDoor) -> None:
    put, _ = publish(here, chunks(8, 300_000))
    read_all(here, put)
    files = [path for path in (here.local / "disk").rglob("*") if path.stat().st_size > MIB]
    assert files
    for path in files:
        with path.open("r+b") as file:
            file.seek(500_000)
            file.write(b"another" * 50_000)
    objects = here.data.objects_of(here.log_of(VOLUME))
    for oid, data in put.items():
        assert objects.load_object(oid) == data
    for path in files:
        os.truncate(path, 700_000)
    objects = here.data.objects_of(here.log_of(VOLUME))
    for oid, data in put.items():
        assert objects.load_object(oid) == data


def test_a_damaged_footer_is_made_again_from_the_records(
    here: StandInStore, there: StandInStore
) -> None:
    put, shipment = publish(here, chunks(5))
    lines, _ = publish(here, chunks(5, 1000, seed=1))
    (pack,) = shipment.packs
    change(here, pack, pack.footer + 20)
    read_all(there, put | lines)


def test_a_pack_of_another_length_is_damage(here: StandInStore, there: StandInStore) -> None:
    put, shipment = publish(here, chunks(5))
    (pack,) = shipment.packs
    key = find_key(pack.name)
    whole = bytes(here.bucket.get(key)[1])
    there.data.finder.learn_tail(there.log_of(VOLUME).packs)
    here.bucket.put(key, whole[:100_200])
    there.close()
    cold = StandInStore(here.bucket, there.local.parent / "cold")
    with pytest.raises(DataError):
        read_all(cold, put)
    here.bucket.put(key, b"")
    with pytest.raises(DataError):
        cold.objects_of(VOLUME).load_object(list(put)[-1])
    cold.close()


def test_a_pack_that_is_gone_is_looked_up_again(
    here: StandInStore, there: StandInStore, door: CountedDoor
) -> None:
    """gc has copied what is live, and deleted the pack. The reader has old rows, and an old log."""
    put, shipment = publish(here, chunks(6))
    there.data.finder.learn_tail(there.log_of(VOLUME).packs)
    (pack,) = shipment.packs
    live = dict(list(put.items())[:4])
    with here.open_upload(VOLUME) as upload:
        here.log_of(VOLUME).append(Said(closed=[pack.name]))
        put_all(upload, live.values())
        assert upload.new_objects == 4, "nothing new relies on a closed pack"
        append(here, upload)
    here.log_of(VOLUME).append(Said(gone=[pack.name]))
    here.bucket.delete(find_key(pack.name))
    log = there.log_of(VOLUME)
    lines = log.lines
    read_all(there, live)
    assert log.lines > lines
    dead = next(oid for oid in put if oid not in live)
    objects = there.objects_of(VOLUME)
    for _ in range(2):
        with pytest.raises(MissingObjectError, match=dead.hex()):
            objects.load_object(dead)
    door.asked.clear()
    assert objects.load_object_ready(dead) is None
    assert objects.read_object_ready(dead, 0, 1) is None
    objects.prefetch(dead)
    assert door.asked == []
    with pytest.raises(MissingObjectError):
        objects.load_object(dead)
    assert door.count("GET", "packs/") == 0, "a pack that is gone is not asked for again"


# --- packs that are closed while something relies on them -----------------------


@pytest.mark.usefixtures("small_packs")
def test_packs_that_are_closed_meanwhile_are_not_relied_on(here: StandInStore) -> None:
    old, first = publish(here, chunks(4))
    log = here.log_of(VOLUME)
    with here.open_upload(VOLUME) as upload:
        put = put_all(upload, [*old.values(), *chunks(14, seed=1)])
        shipment = upload.ship()
        assert shipment.relies == tuple(pack.name for pack in first.packs)
        own = shipment.packs[0].name
        # The line loses its race against one that closes what is relied on, and an own pack.
        log.append(Said(closed=[*shipment.relies]))
        upload.replace([*shipment.relies, own])
        again = upload.ship()
        assert again.relies == ()
        assert own not in {pack.name for pack in again.packs}
        assert all(upload.load_object(oid) == data for oid, data in put.items())
        append(here, upload)
    for pack in first.packs:
        here.bucket.delete(find_key(pack.name))
    here.bucket.delete(find_key(own))
    cold = StandInStore(here.bucket, here.local.parent / "cold")
    read_all(cold, put)
    cold.close()


def test_what_was_closed_and_is_gone_cannot_be_relied_on(
    here: StandInStore, there: StandInStore
) -> None:
    old, first = publish(here, chunks(4))
    there.data.finder.learn_tail(there.log_of(VOLUME).packs)
    (pack,) = first.packs
    with there.open_upload(VOLUME) as upload:
        put_all(upload, old.values())
        here.bucket.delete(find_key(pack.name))
        there.log_of(VOLUME).append(Said(closed=[pack.name]))
        with pytest.raises(MissingObjectError, match="nothing was published: try again"):
            upload.replace([pack.name])
    with there.open_upload(VOLUME) as upload:
        put_all(upload, old.values())
        append(there, upload)
    read_all(there, old)


@pytest.mark.usefixtures("small_packs")
def test_an_own_pack_is_put_again_after_its_spool_was_let_go(
    here: StandInStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("volfs.store.distributed.data.bucket_sink.SPOOLS_KEPT", 0)
    with here.open_upload(VOLUME) as upload:
        put = put_all(upload, chunks(25))
        closed = [pack.name for pack in upload.ship().packs]
        upload.replace(closed)
        upload.put_object(Kind.CHUNK, b"later")
        shipment, _ = append(here, upload)
    assert not set(closed) & {pack.name for pack in shipment.packs}
    for name in closed:
        here.bucket.delete(find_key(name))
    cold = StandInStore(here.bucket, here.local.parent / "cold")
    read_all(cold, put)
    cold.close()
