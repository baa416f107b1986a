"""Versions sent from one store to another: whole, in order, only what is new, or an error."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.volume.shortcuts import list_paths, noise, publish_files, read_file
from volfs.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    InvalidNameError,
    VolumeInUseError,
)
from volfs.model.progress import Progress
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.check import check_store
from volfs.volume.gc import collect_garbage
from volfs.volume.history import create_tag, get_version
from volfs.volume.replicas import chunk_sender
from volfs.volume.replicas.replica import ReplicaName
from volfs.volume.replicas.sending import SendOptions, Sent, send_volume
from volfs.volume.volumes import create_volume, delete_volume, rename_volume

BIG = noise(300_000)


def versions_of(store: Store, volume: VolumeRecord) -> list[Head]:
    return list(store.refs.iter_versions(volume.id))


def send(source: Store, volume: VolumeRecord, target: Store, **options: object) -> Sent:
    sent = send_volume(source, volume, target, SendOptions(**options))  # type: ignore[arg-type]
    assert check_store(target, read_data=True).problems == []
    return sent


def test_a_replica_has_the_same_versions(store: Store, volume: VolumeRecord, other: Store) -> None:
    for number in range(3):
        publish_files(store, volume, {"a": BIG, f"d/{number}": noise(5000, number)})
    sent = send(store, volume, other)
    assert sent.versions == [1, 2, 3]
    assert versions_of(other, volume) == versions_of(store, volume)
    assert other.refs.find_volume_by_id(volume.id) == volume
    assert read_file(other, volume, "a") == BIG


def test_nothing_is_sent_twice(store: Store, volume: VolumeRecord, other: Store) -> None:
    publish_files(store, volume, {f"d{i}/f": noise(50_000, i) for i in range(20)})
    first = send(store, volume, other)
    assert send(store, volume, other).versions == []
    publish_files(store, volume, {"d3/g": b"new"})
    second = send(store, volume, other)
    assert second.versions == [2]
    assert second.objects <= 4 < first.objects
    assert second.bytes < 5_000 < first.bytes


def test_what_the_other_store_has_is_not_sent(
    store: Store, volume: VolumeRecord, other: Store
) -> None:
    publish_files(other, create_volume(other, "theirs", chunk_bits=16), {"same": BIG})
    publish_files(store, volume, {"mine": BIG})
    sent = send(store, volume, other)
    assert sent.bytes < 5_000
    assert read_file(other, volume, "mine") == BIG


def test_only_the_newest_version(store: Store, volume: VolumeRecord, other: Store) -> None:
    for number in range(4):
        publish_files(store, volume, {"f": noise(70_000, number)})
    assert send(store, volume, other, newest=True).versions == [4]
    assert [head.version for head in versions_of(other, volume)] == [4, 0]
    publish_files(store, volume, {"g": b"5"})
    publish_files(store, volume, {"g": b"6"})
    assert send(store, volume, other, newest=True).versions == [6]
    assert read_file(other, volume, "f") == noise(70_000, 3)


def test_a_history_whose_beginning_was_expired(
    store: Store, volume: VolumeRecord, other: Store
) -> None:
    for number in range(4):
        publish_files(store, volume, {"f": noise(1000, number)})
    store.refs.remove_versions(volume.id, (0, 1, 3))
    assert send(store, volume, other).versions == [2, 4]
    assert [head.version for head in versions_of(other, volume)] == [4, 2]


def test_an_empty_volume(store: Store, volume: VolumeRecord, other: Store) -> None:
    assert send(store, volume, other).versions == []
    assert versions_of(other, volume) == versions_of(store, volume)


def test_under_another_name(store: Store, volume: VolumeRecord, other: Store) -> None:
    publish_files(store, volume, {"f": b"1"})
    publish_files(other, create_volume(other, volume.name), {"theirs": b"1"})
    with pytest.raises(AlreadyExistsError):
        send(store, volume, other)
    with pytest.raises(InvalidNameError):
        send(store, volume, other, name=ReplicaName("a/b"))
    sent = send(store, volume, other, name=ReplicaName("copy", "prod"))
    assert sent.replica.full_name == "prod/copy"
    publish_files(store, volume, {"f": b"2"})
    assert send(store, volume, other).replica.full_name == "prod/copy"
    with pytest.raises(InvalidError, match="called 'prod/copy'"):
        send(store, volume, other, name=ReplicaName("another"))


def test_a_renamed_replica_is_found_by_its_id(
    store: Store, volume: VolumeRecord, other: Store
) -> None:
    publish_files(store, volume, {"f": b"1"})
    send(store, volume, other)
    rename_volume(other, volume.name, "renamed")
    publish_files(store, volume, {"f": b"2"})
    assert send(store, volume, other).replica.name == "renamed"


def test_tags_come_along_and_theirs_stay(store: Store, volume: VolumeRecord, other: Store) -> None:
    publish_files(store, volume, {"f": b"1"})
    create_tag(store.refs, volume, "good", get_version(store.refs, volume, "1"))
    assert send(store, volume, other).tags == ["good"]
    publish_files(store, volume, {"f": b"2"})
    create_tag(store.refs, volume, "good", get_version(store.refs, volume, "2"), move=True)
    create_tag(store.refs, volume, "better", get_version(store.refs, volume, "2"))
    sent = send(store, volume, other)
    assert (sent.tags, sent.kept_tags) == (["better"], ["good"])
    assert dict(other.refs.list_tags(volume.id)) == {"better": 2, "good": 1}


def test_a_replica_that_went_its_own_way(store: Store, volume: VolumeRecord, other: Store) -> None:
    publish_files(store, volume, {"f": b"1"})
    send(store, volume, other)
    publish_files(other, volume, {"theirs": b"2"})
    before = versions_of(other, volume)
    publish_files(store, volume, {"ours": b"2"})
    for force in (False, True):
        with pytest.raises(ConflictError, match="gone its own way"):
            send(store, volume, other, force=force)
    assert versions_of(other, volume) == before


def test_a_replica_that_is_ahead(store: Store, volume: VolumeRecord, other: Store) -> None:
    publish_files(store, volume, {"f": b"1"})
    send(store, volume, other)
    publish_files(other, volume, {"theirs": b"2"})
    assert send(store, volume, other).versions == []
    assert send(other, volume, store).versions == [2]
    assert versions_of(other, volume) == versions_of(store, volume)


def test_a_newest_version_that_the_original_expired(
    store: Store, volume: VolumeRecord, other: Store
) -> None:
    publish_files(store, volume, {"f": b"1"})
    send(store, volume, other)
    publish_files(store, volume, {"f": b"2"})
    store.refs.remove_versions(volume.id, (1,))
    with pytest.raises(ConflictError, match="--force"):
        send(store, volume, other)
    assert send(store, volume, other, force=True).versions == [2]


def test_to_the_same_store(store: Store, volume: VolumeRecord) -> None:
    with pytest.raises(InvalidError, match="the store of the volume itself"):
        send(store, volume, store)


def test_versions_that_come_while_it_is_sent(
    store: Store, volume: VolumeRecord, other: Store
) -> None:
    """Another push between the upload and the swap: both are right, and nothing is lost."""
    for number in range(3):
        publish_files(store, volume, {"f": noise(2000, number)})
    once: list[Callable[[], object]] = [lambda: send_volume(store, volume, other)]

    def report(progress: Progress) -> None:
        if progress.bytes and once:
            once.pop()()

    sent = send_volume(store, volume, other, report=report)
    assert versions_of(other, volume) == versions_of(store, volume)
    assert sent.versions == []


def test_gc_and_expiry_beside_it(store: Store, volume: VolumeRecord, other: Store) -> None:
    """Collecting in both stores at every step of a send takes nothing that it needs."""
    for number in range(3):
        publish_files(store, volume, {"f": noise(90_000, number), "g": noise(70_000, 9)})

    def report(progress: Progress) -> None:
        store.refs.remove_versions(volume.id, (0, 1))
        for each in (store, other):
            collect_garbage(each, grace=0)

    send_volume(store, volume, other, report=report)
    assert check_store(other, read_data=True).problems == []
    assert read_file(other, volume, "f") == noise(90_000, 2)


def test_a_deleted_replica_is_made_anew(store: Store, volume: VolumeRecord, other: Store) -> None:
    publish_files(store, volume, {"f": BIG})
    send(store, volume, other)
    delete_volume(other, volume.name)
    collect_garbage(other, grace=0)
    assert send(store, volume, other).versions == [1]
    assert read_file(other, volume, "f") == BIG


# --- savepoints ---------------------------------------------------------------


@pytest.fixture
def many(store: Store, volume: VolumeRecord, monkeypatch: pytest.MonkeyPatch) -> VolumeRecord:
    """A version of 400 chunks, where a savepoint has 100 KB."""
    monkeypatch.setattr(chunk_sender, "SAVE_BYTES", 100_000)
    monkeypatch.setattr(chunk_sender, "BATCH", 4)
    publish_files(store, volume, {f"d/{i}": noise(3000, i) for i in range(400)})
    return volume


def test_an_interrupted_send_goes_on_at_its_savepoint(
    store: Store, many: VolumeRecord, other: Store
) -> None:
    class CutError(Exception):
        pass

    def report(progress: Progress) -> None:
        if progress.bytes > 900_000:
            raise CutError

    with pytest.raises(CutError):
        send_volume(store, many, other, report=report)
    assert [head.version for head in versions_of(other, many)] == [0], "no half version"
    assert sorted(v.name for v in other.refs.list_volumes()) == ["data", "data.incoming"]
    assert check_store(other, read_data=True).problems == []
    collect_garbage(other, grace=0)
    sent = send(store, many, other)
    assert sent.bytes < 900_000
    assert list_paths(other, many) == list_paths(store, many)
    assert [v.name for v in other.refs.list_volumes()] == ["data"]


def test_savepoints_need_no_interruption(store: Store, many: VolumeRecord, other: Store) -> None:
    send(store, many, other)
    collect_garbage(other, grace=0)
    assert check_store(other, read_data=True).problems == []
    assert [v.name for v in other.refs.list_volumes()] == ["data"]


def test_a_volume_that_has_the_name_of_the_savepoints(
    store: Store, many: VolumeRecord, other: Store
) -> None:
    theirs = create_volume(other, "data.incoming")
    publish_files(other, theirs, {"mine": b"1"})
    send(store, many, other)
    assert read_file(other, theirs, "mine") == b"1"


def test_two_sends_at_once(store: Store, many: VolumeRecord, other: Store) -> None:
    found: list[Sent | Exception] = []

    def run() -> None:
        try:
            found.append(send_volume(store, many, other))
        except (AlreadyExistsError, VolumeInUseError) as error:
            found.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(isinstance(item, Sent) for item in found)
    assert versions_of(other, many) == versions_of(store, many)
    assert check_store(other, read_data=True).problems == []
