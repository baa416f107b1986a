"""Iterations that are in their middle while what they read is expired and collected."""

from __future__ import annotations

import io
import os

import pytest

import volfs as modal
from volfs.api.volume import Volume
from volfs.model.retention import KeepRules
from volfs.store.registry import open_store
from volfs.volume.expire import expire_versions
from volfs.volume.gc import collect_garbage

LONG = os.urandom(3 << 20)


@pytest.fixture
def volume() -> Volume:
    """Version 1 has a long file and directories, version 2 has neither."""
    volume = modal.Volume.from_name("data", create_if_missing=True)
    with volume.batch_upload() as batch:
        batch.put_file(io.BytesIO(LONG), "/long")
        for number in range(5):
            batch.put_file(io.BytesIO(), f"/d{number}/f")
    for entry in volume.listdir("/"):
        volume.remove_file(entry.path, recursive=True)
    assert len(volume.log()) == 7
    return volume


def expire(volume: Volume) -> list[int]:
    store = open_store(volume.client.url)
    try:
        record = store.refs.get_volume("data")
        _, removed = expire_versions(store, record, KeepRules(last=1))
        collect_garbage(store, grace=0)
        return removed
    finally:
        store.close()


def test_read_file(volume: Volume) -> None:
    blocks = volume.at(1).read_file("long")
    read = next(blocks)
    assert 1 not in expire(volume)
    read += b"".join(blocks)
    assert read == LONG
    assert expire(volume) == [1]
    with pytest.raises(modal.exception.NotFoundError):
        volume.at(1).listdir("/")


def test_read_file_of_what_was_the_head(volume: Volume) -> None:
    modal.Volume.from_name("data").restore(1)
    blocks = volume.read_file("long")
    read = next(blocks)
    volume.remove_file("long")
    expire(volume)
    assert read + b"".join(blocks) == LONG


def test_iterdir(volume: Volume) -> None:
    entries = volume.at(1).iterdir("/")
    found = [next(entries).path]
    assert 1 not in expire(volume)
    found += [entry.path for entry in entries]
    assert [path for path in found if path.endswith("/f")] == [f"d{n}/f" for n in range(5)]
    assert expire(volume) == [1]


def test_read_into_a_file_object(volume: Volume) -> None:
    class Expiring(io.BytesIO):
        def write(self, data: object, /) -> int:
            assert 1 not in expire(volume)
            return super().write(data)  # type: ignore[arg-type]

    target = Expiring()
    volume.at(1).read_file_into_fileobj("long", target)
    assert target.getvalue() == LONG


def test_a_handle_on_a_version_alone_keeps_nothing(volume: Volume) -> None:
    old = volume.at(1)
    assert old.version == 1
    assert 1 in expire(volume)
    with pytest.raises(modal.exception.NotFoundError, match="version 1 is not there any more"):
        old.listdir("/")
