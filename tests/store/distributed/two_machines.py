"""Two machines that use one bucket, and what tests do on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.store.contract import noise
from tests.store.distributed.counted import CountedDoor
from tests.store.distributed.stand_in import StandInStore, say
from volfs.buckets.access import Bucket
from volfs.model.objects import Kind, Oid
from volfs.model.segments.packs_named import NamedPack
from volfs.store.distributed.data import bucket_upload, spool
from volfs.store.distributed.data.bucket_upload import BucketUpload, Shipment

VOLUME = "vo-0000000000000000000001"
KIB = 1 << 10


@pytest.fixture
def door() -> CountedDoor:
    return CountedDoor()


@pytest.fixture
def here(door: CountedDoor, tmp_path: Path) -> Iterator[StandInStore]:
    yield from _open(door, tmp_path / "here")


@pytest.fixture
def there(door: CountedDoor, tmp_path: Path) -> Iterator[StandInStore]:
    """Another machine. Nothing is open there before a test asks for it."""
    yield from _open(door, tmp_path / "there")


def _open(door: CountedDoor, local: Path) -> Iterator[StandInStore]:
    store = StandInStore(Bucket(door, deadline=3.0), local)
    yield store
    store.close()


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs end at 1 MiB."""
    monkeypatch.setattr(spool, "FULL", 1 << 20)
    monkeypatch.setattr(bucket_upload, "MUCH", 1 << 20)


def chunks(count: int, size: int = 100 * KIB, seed: int = 0) -> list[bytes]:
    return [noise(size, seed * 1000 + number) for number in range(count)]


def put_all(upload: BucketUpload, datas: Iterable[bytes]) -> dict[Oid, bytes]:
    return {upload.put_object(Kind.CHUNK, data): data for data in datas}


def append(store: StandInStore, upload: BucketUpload) -> tuple[Shipment, NamedPack]:
    """Publish what an upload has, and return what its line names, and the line."""
    shipment = upload.ship()
    said = say(shipment, bytes(32))
    line, data = store.log_of(VOLUME).append(said, shipment.records, shipment.record_count)
    upload.arrive(line, data)
    return shipment, line


def publish(store: StandInStore, datas: Iterable[bytes]) -> tuple[dict[Oid, bytes], Shipment]:
    with store.open_upload(VOLUME) as upload:
        put = put_all(upload, datas)
        return put, append(store, upload)[0]


def read_all(store: StandInStore, put: dict[Oid, bytes]) -> None:
    objects = store.objects_of(VOLUME)
    for oid, data in put.items():
        assert objects.load_object(oid) == data
