"""Long logs: what is read of them, and what happens if that is damaged, gone, or another's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.distributed.counted import CountedDoor
from tests.store.distributed.long_volumes import (
    VOLUME,
    Inline,
    begin,
    chunk_of,
    manifest_of,
    publish,
)
from tests.store.distributed.two_engines import BucketMachine
from volfs.buckets.access import Bucket, iter_objects
from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.model.logs import version_table, volume_checkpoint
from volfs.model.logs.volume_log import VolumeState
from volfs.model.objects import Kind, compute_oid
from volfs.store.contract.refs import VolumeRecord
from volfs.store.distributed.checkpoints import due_checkpoints
from volfs.store.distributed.mending.inventory import take_inventory
from volfs.store.distributed.place.object_keys import volume_log
from volfs.store.distributed.refs import checkpoint_keeper, volume_logs
from volfs.store.distributed.refs.named_objects import list_named

PLACE = volume_log(VOLUME)
BLOCK = 32
VERSIONS = 106


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Iterator[BucketMachine]]:
    """Machines that use one bucket, of which the first has made a long volume. A checkpoint comes
    every 8 lines, a block has 32 versions, a piece 64 packs."""
    for module in (version_table, volume_checkpoint, checkpoint_keeper, volume_logs):
        monkeypatch.setattr(module, "BLOCK_SIZE", BLOCK)
    monkeypatch.setattr(volume_checkpoint, "PIECE_SIZE", 64)
    monkeypatch.setattr(due_checkpoints, "EVERY_FEW", 8)
    monkeypatch.setattr(due_checkpoints, "EVERY_LINES", 16)
    door, opened = CountedDoor(), list[BucketMachine]()

    def open_machines() -> Iterator[BucketMachine]:
        while True:
            bucket = Bucket(door, world=Inline())
            opened.append(BucketMachine(bucket, tmp_path / str(len(opened))))
            yield opened[-1]

    found = open_machines()
    writer = next(found)
    begin(writer)
    publish(writer, range(1, VERSIONS), 2)
    yield found
    for machine in opened:
        machine.close()


def read_replayed(machine: BucketMachine) -> VolumeState:
    """The state that the lines say, read without any checkpoint."""
    state = machine.refs.logs.open(VOLUME).read_whole().state
    assert state is not None
    return state


def check_all(machine: BucketMachine) -> None:
    """The machine knows what the lines say: all versions, all manifests, some objects."""
    heads = list(machine.refs.iter_versions(VOLUME))
    assert [head.version for head in heads] == list(range(VERSIONS - 1, -1, -1))
    objects = machine.objects_of(VOLUME)
    for head in heads:
        assert objects.load_object(head.manifest) == manifest_of(head.version)
        assert machine.refs.find_version(VOLUME, head.version) == head.manifest
    for version in (1, VERSIONS // 2, VERSIONS - 1):
        data = chunk_of(version, 1)
        assert objects.load_object(compute_oid(Kind.CHUNK, data)) == data
    state, replayed = machine.refs.logs.get(VOLUME), read_replayed(machine)
    assert state.versions.there == replayed.versions.there
    assert state._replace(versions=replayed.versions) == replayed


def get_door(machine: BucketMachine) -> CountedDoor:
    door = machine.engine.bucket.door
    assert isinstance(door, CountedDoor)
    return door


def list_keys(machine: BucketMachine, folder: str) -> list[str]:
    return [info.key for info in iter_objects(machine.engine.bucket, f"v/{VOLUME}/{folder}/")]


def test_a_reader_begins_with_the_newest_checkpoint(machines: Iterator[BucketMachine]) -> None:
    machine = next(machines)
    get_door(machine).asked.clear()
    state = machine.refs.logs.get(VOLUME)
    assert len(state.versions.unread) == VERSIONS // BLOCK
    assert get_door(machine).count("GET", "/log/") < 16
    assert get_door(machine).count("GET", "/p/") == 1
    check_all(machine)
    assert get_door(machine).count("GET", "/x/") == 1


def test_everything_that_a_checkpoint_names_is_listed(machines: Iterator[BucketMachine]) -> None:
    machine = next(machines)
    state = machine.refs.logs.get(VOLUME)
    beside = machine.refs.logs.open_whole(VOLUME).checkpoints.newest
    named = list_named(VOLUME, state, beside)
    assert {folder for folder in ("x", "p", "h", "cp") if list_keys(machine, folder)} >= {"h", "cp"}
    assert take_inventory(machine.engine.bucket).unknown == []
    for folder in ("x", "p", "h", "cp"):
        for key in set(list_keys(machine, folder)) - named.segments - named.beside:
            machine.engine.bucket.delete(key)
    assert sorted(named.beside | named.segments) == sorted(
        key for folder in ("x", "p", "h", "cp") for key in list_keys(machine, folder)
    )
    again = next(machines)
    get_door(again).asked.clear()
    check_all(again)
    assert get_door(again).count("GET", PLACE.line(3)) == 1  # By the test alone.


DAMAGE = {
    "cut": lambda data: data[:-1],
    "flipped": lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
    "empty": lambda data: b"",
    "of a later volfs": lambda data: b"VOLFSCP9" + data[8:],
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_checkpoint_is_passed_over(machines: Iterator[BucketMachine], how: str) -> None:
    """For the one before it, or for the whole log."""
    bucket = next(machines).engine.bucket
    for count in (1, 100):
        keys = [info.key for info in bucket.list_page(PLACE.checkpoints, limit=count).objects]
        for key in keys:
            bucket.put(key, DAMAGE[how](bytes(bucket.get(key)[1])))
        check_all(next(machines))


def test_a_checkpoint_of_something_else_is_passed_over(machines: Iterator[BucketMachine]) -> None:
    """Of another line, of another volume, and of a line that lost."""
    machine = next(machines)
    bucket, known = machine.engine.bucket, machine.refs.logs.open(VOLUME).refresh()
    (newest,) = bucket.list_page(PLACE.checkpoints, limit=1).objects
    data = bytes(bucket.get(newest.key)[1])
    bucket.put(PLACE.checkpoint(known.number - 1), data)
    check_all(next(machines))
    record = VolumeRecord("vo-" + "9" * 22, "other", 2, 20, 0, "me")
    machine.refs.create_volume(record, b"other")
    bucket.put(volume_log(record.id).checkpoint(0), data)
    other = next(machines).refs.get_head(record.id)
    assert other.manifest == compute_oid(Kind.MANIFEST, b"other")
    checkpoints = machine.refs.logs.open_whole(VOLUME).checkpoints
    assert known.state is not None
    lost = known.state._replace(tags=known.state.tags.set("lost", 0))
    checkpoints.write(known._replace(state=lost, digest=bytes(32)), checkpoints.newest.kept)
    check_all(next(machines))


@pytest.mark.parametrize("folder", ["h", "x", "p"])
def test_what_lies_beside_a_log_is_gone(machines: Iterator[BucketMachine], folder: str) -> None:
    machine = next(machines)
    bucket = machine.engine.bucket
    keys = list_keys(machine, folder)
    assert keys
    bucket.put(keys[0], b"damaged")
    for key in keys[1:]:
        bucket.delete(key)
    if folder != "x":
        check_all(next(machines))
        return
    machine.engine.keeper.close()
    reader = next(machines)
    assert list(reader.refs.iter_versions(VOLUME))


def test_a_segment_that_a_newer_checkpoint_does_not_name(
    machines: Iterator[BucketMachine],
) -> None:
    """Whoever still knows the older checkpoint looks for the newer one."""
    writer, reader = next(machines), next(machines)
    reader.refs.get_head(VOLUME)
    former = list_keys(writer, "x")
    publish(writer, range(VERSIONS, VERSIONS + 16), 2)
    for key in former:
        writer.engine.bucket.delete(key)
    data = chunk_of(3, 1)
    assert reader.objects_of(VOLUME).load_object(compute_oid(Kind.CHUNK, data)) == data


def test_a_fork_finds_what_its_source_has_gathered(machines: Iterator[BucketMachine]) -> None:
    writer = next(machines)
    record = VolumeRecord("vo-" + "8" * 22, "fork", 2, 20, 0, "me")
    manifests = manifest_of(0), manifest_of(VERSIONS - 1)
    writer.refs.fork_volume(record, manifests, VOLUME, VERSIONS - 1)
    reader = next(machines)
    get_door(reader).asked.clear()
    for version in (5, VERSIONS // 2, VERSIONS - 1):
        data = chunk_of(version, 1)
        oid = compute_oid(Kind.CHUNK, data)
        assert reader.objects_of(record.id).load_object(oid) == data
    assert len(get_door(reader).asked) < 40
    reader.engine.keeper.keep(record.id)
    view = next(machines).engine.volumes.open(record.id).book.packs
    assert view.list_tail() == []
    assert {each.volume for each in view.list_logged_segments()} <= {record.id, VOLUME}


def test_a_failure_to_write_one_costs_nothing(
    machines: Iterator[BucketMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = next(machines)
    door, before = get_door(writer), len(list_keys(writer, "cp"))

    def refuse(key: str) -> None:
        if "/cp/" in key:
            raise RequestFailure(FailureKind.DENIED, "no", status=403)

    door.before_put = refuse
    publish(writer, range(VERSIONS, VERSIONS + 20))
    assert len(list_keys(writer, "cp")) == before
    assert door.count("PUT", "/cp/") < before + 5
    door.before_put = lambda key: None
    publish(writer, range(VERSIONS + 20, VERSIONS + 40))
    assert len(list_keys(writer, "cp")) > before
