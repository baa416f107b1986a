"""A new store of every engine, and what the contract suites do to it.

A new engine is one line in ENGINES.
"""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from volfs.model.objects import Kind, Oid, compute_oid
from volfs.store.contract.care import Damage
from volfs.store.contract.lease import Lease, Need
from volfs.store.contract.objects import Upload
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store


def embedded(directory: Path) -> str:
    return str(directory / "store")


ENGINES: list[Callable[[Path], str]] = [
    embedded,
]
"""Each gives the address of a store that does not exist yet."""


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.__name__)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.param(tmp_path))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url, create=True)
    yield store
    assert list_damage(store) == []
    store.close()


def list_damage(store: Store) -> list[Damage]:
    return list(store.care.iter_damage())


def make_record(number: int = 1, name: str | None = None) -> VolumeRecord:
    return VolumeRecord(f"vo-{number:022d}", name or f"volume-{number}", 2, 20, number, "me")


@pytest.fixture
def volume(store: Store) -> str:
    record = make_record()
    store.refs.create_volume(record, b"manifest 0")
    return record.id


def publish_next(store: Store, volume: str, upload: Upload, note: str = "") -> Head:
    head = store.refs.get_head(volume)
    manifest = f"{volume} {head.version + 1} {note}".encode()
    new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, manifest))
    store.refs.publish(upload, volume, head, new)
    return new


def add(store: Store, volume: str, *chunks: bytes) -> list[Oid]:
    with store.open_upload(volume) as upload:
        oids = [upload.put_object(Kind.CHUNK, chunk) for chunk in chunks]
        publish_next(store, volume, upload)
    return oids


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(f"{seed} {size}").randbytes(size)


def text(size: int) -> bytes:
    return (b"the same words over and over; " * (size // 30 + 1))[:size]


def list_versions(store: Store, volume: str) -> list[int]:
    return [head.version for head in store.refs.iter_versions(volume)]


def make_lease(
    volume: str, *versions: int, session: str = "data-1", began_ns: int = 1 << 60
) -> Lease:
    needs = tuple(Need(kind, compute_oid(kind, session.encode())) for kind in Kind)
    return Lease(session, volume, versions, needs, began_ns)


def run_threads(count: int, work: Callable[[int], None]) -> None:
    """Run ``work`` in threads and raise what the first failing one raised."""
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def run_python(code: str, *arguments: str) -> str:
    """Run code in another process; what it printed."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
