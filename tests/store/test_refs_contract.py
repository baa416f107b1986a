"""What every engine promises of volumes and their history (volfs/store/contract/refs.py)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.store.contract import (
    add,
    list_versions,
    make_lease,
    make_record,
    publish_next,
    store,
    url,
    volume,
)
from volfs.errors import AlreadyExistsError, NotFoundError
from volfs.model.objects import Kind, compute_oid
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store

__all__ = ["store", "url", "volume"]

# --- volumes ----------------------------------------------------------------


def test_new_volume_is_at_version_0(store: Store) -> None:
    record = make_record()
    store.refs.create_volume(record, b"empty")
    assert store.refs.get_volume(record.name) == record
    assert store.refs.find_volume_by_id(record.id) == record
    head = store.refs.get_head(record.id)
    assert head == Head(0, compute_oid(Kind.MANIFEST, b"empty"))
    assert store.objects_of(record.id).load_object(head.manifest) == b"empty"
    assert store.refs.find_version(record.id, 0) == head.manifest


def test_volumes_share_a_first_manifest(store: Store) -> None:
    for number in (1, 2):
        store.refs.create_volume(make_record(number), b"the same")
    assert store.refs.get_head(make_record(1).id) == store.refs.get_head(make_record(2).id)


def test_volume_record_keeps_every_field(store: Store) -> None:
    record = VolumeRecord("vo-" + "z" * 22, "a.b-c_D", 1, 16, 1 << 60, "somebody", 2.5)
    store.refs.create_volume(record, b"m")
    assert store.refs.list_volumes() == [record]


def test_create_refuses_a_taken_name_and_changes_nothing(store: Store, volume: str) -> None:
    with pytest.raises(AlreadyExistsError):
        store.refs.create_volume(make_record(2, name="volume-1"), b"other")
    assert store.refs.find_volume_by_id(make_record(2).id) is None
    assert store.refs.get_volume("volume-1").id == volume
    assert not store.objects_of(volume).contains(compute_oid(Kind.MANIFEST, b"other"))


def test_list_is_newest_first(store: Store) -> None:
    for number in (2, 3, 1):
        store.refs.create_volume(make_record(number), b"m")
    assert [record.created_ns for record in store.refs.list_volumes()] == [3, 2, 1]


def test_rename_keeps_the_id(store: Store, volume: str) -> None:
    store.refs.rename_volume("volume-1", "new")
    assert store.refs.get_volume("new").id == volume
    with pytest.raises(NotFoundError):
        store.refs.get_volume("volume-1")
    found = store.refs.find_volume_by_id(volume)
    assert found is not None
    assert found.name == "new"


def test_rename_refuses(store: Store, volume: str) -> None:
    store.refs.create_volume(make_record(2), b"m")
    with pytest.raises(AlreadyExistsError):
        store.refs.rename_volume("volume-1", "volume-2")
    with pytest.raises(NotFoundError):
        store.refs.rename_volume("none", "other")
    assert store.refs.get_volume("volume-1").id == volume


def test_delete_removes_one_volume_and_its_versions(store: Store, volume: str) -> None:
    store.refs.create_volume(make_record(2), b"m")
    for _ in range(3):
        add(store, volume, b"x")
    store.refs.delete_volume("volume-1")
    with pytest.raises(NotFoundError):
        store.refs.get_head(volume)
    assert store.refs.find_version(volume, 1) is None
    assert list(store.refs.iter_versions(volume)) == []
    assert [record.name for record in store.refs.list_volumes()] == ["volume-2"]
    assert store.refs.get_head(make_record(2).id).version == 0


@pytest.mark.parametrize("call", ["get_volume", "delete_volume"])
def test_absent_volume(store: Store, call: str) -> None:
    with pytest.raises(NotFoundError):
        getattr(store.refs, call)("none")
    assert store.refs.find_volume_by_id("vo-none") is None
    with pytest.raises(NotFoundError):
        store.refs.get_head("vo-none")


# --- versions ---------------------------------------------------------------


def test_versions_newest_first_across_many(store: Store, volume: str) -> None:
    store.refs.create_volume(make_record(0), b"m")
    store.refs.create_volume(make_record(2), b"m")
    with store.open_upload(volume) as upload:
        heads = [store.refs.get_head(volume)] + [
            publish_next(store, volume, upload) for _ in range(600)
        ]
    assert list(store.refs.iter_versions(volume)) == heads[::-1]
    assert store.refs.find_version(volume, 300) == heads[300].manifest
    assert store.refs.find_version(volume, 601) is None
    assert store.refs.find_version(volume, -1) is None
    assert [head.version for head in store.refs.iter_versions(make_record(2).id)] == [0]


def test_a_replica_leaves_numbers_out(store: Store, volume: str) -> None:
    """A later number may follow. The same or an earlier one never does."""
    with store.open_upload(volume) as upload:
        for number in (7, 7, 3):
            head = store.refs.get_head(volume)
            new = Head(number, upload.put_object(Kind.MANIFEST, b"%d" % number))
            if number > head.version:
                store.refs.publish(upload, volume, head, new)
            else:
                with pytest.raises(ValueError, match="cannot follow"):
                    store.refs.publish(upload, volume, head, new)
    assert list_versions(store, volume) == [7, 0]


def test_removed_versions_are_gone_and_the_others_stay(store: Store, volume: str) -> None:
    store.refs.create_volume(make_record(2), b"m")
    for _ in range(6):
        add(store, volume, b"x")
    assert store.refs.remove_versions(volume, [4, 2, 2, 99, 0]) == [0, 2, 4]
    assert list_versions(store, volume) == [6, 5, 3, 1]
    assert store.refs.find_version(volume, 4) is None
    assert store.refs.remove_versions(volume, [4]) == []
    assert list_versions(store, make_record(2).id) == [0]
    add(store, volume, b"y")
    assert list_versions(store, volume) == [7, 6, 5, 3, 1]


def test_what_is_in_use_is_not_removed(store: Store, volume: str) -> None:
    """The head, what a tag names, what a lease has; those of other volumes do not count."""
    store.refs.create_volume(make_record(2), b"m")
    for _ in range(4):
        add(store, volume, b"x")
        add(store, make_record(2).id, b"x")
    store.refs.put_tag(volume, "release", 1)
    store.leases.put(make_lease(volume, 2))
    store.refs.put_tag(make_record(2).id, "other", 3)
    store.leases.put(make_lease(make_record(2).id, 0, session="other"))
    assert store.refs.remove_versions(volume, range(10)) == [0, 3]
    assert list_versions(store, volume) == [4, 2, 1]


def test_removing_from_a_deleted_volume(store: Store, volume: str) -> None:
    store.refs.delete_volume("volume-1")
    with pytest.raises(NotFoundError):
        store.refs.remove_versions(volume, [0])


# --- tags -------------------------------------------------------------------


def test_tags_name_versions(store: Store, url: str, volume: str) -> None:
    add(store, volume, b"x")
    for tag, version in (("b", 1), ("a", 0), ("B.-_9", 1)):
        store.refs.put_tag(volume, tag, version)
    other = open_store(url)
    assert other.refs.list_tags(volume) == [("B.-_9", 1), ("a", 0), ("b", 1)]
    assert dict(other.refs.list_tags(volume)).get("a") == 0
    assert dict(other.refs.list_tags(volume)).get("c") is None
    other.close()


def test_a_tag_moves_only_if_it_may(store: Store, volume: str) -> None:
    add(store, volume, b"x")
    store.refs.put_tag(volume, "a", 0)
    store.refs.put_tag(volume, "a", 0)
    with pytest.raises(AlreadyExistsError, match="version 0"):
        store.refs.put_tag(volume, "a", 1)
    assert dict(store.refs.list_tags(volume)).get("a") == 0
    store.refs.put_tag(volume, "a", 1, move=True)
    assert store.refs.list_tags(volume) == [("a", 1)]


def test_a_tag_on_a_version_that_is_not_there(store: Store, volume: str) -> None:
    for call in (volume, 1), ("vo-none", 0):
        with pytest.raises(NotFoundError):
            store.refs.put_tag(call[0], "a", call[1])
    assert store.refs.list_tags(volume) == []


def test_tags_belong_to_one_volume(store: Store, volume: str) -> None:
    store.refs.create_volume(make_record(2), b"m")
    for record in (make_record(1), make_record(2)):
        store.refs.put_tag(record.id, "a", 0)
        store.refs.put_tag(record.id, "z", 0)
    store.refs.delete_tag(volume, "a")
    assert store.refs.list_tags(volume) == [("z", 0)]
    assert len(store.refs.list_tags(make_record(2).id)) == 2
    with pytest.raises(NotFoundError, match="no tag a"):
        store.refs.delete_tag(volume, "a")


def test_deleting_a_volume_deletes_its_tags(store: Store, volume: str) -> None:
    store.refs.create_volume(make_record(2), b"m")
    for record in (make_record(1), make_record(2)):
        store.refs.put_tag(record.id, "a", 0)
    store.refs.delete_volume("volume-1")
    assert store.refs.list_tags(volume) == []
    assert store.refs.list_tags(make_record(2).id) == [("a", 0)]


# --- forks ------------------------------------------------------------------


def test_a_fork_is_a_volume_with_two_versions(store: Store, volume: str) -> None:
    add(store, volume, b"x")
    fork = make_record(2)
    store.refs.fork_volume(fork, (b"empty", b"with x"), volume, 1)
    assert store.refs.get_volume("volume-2") == fork
    assert store.refs.get_head(fork.id) == (1, compute_oid(Kind.MANIFEST, b"with x"))
    assert store.refs.find_version(fork.id, 0) == compute_oid(Kind.MANIFEST, b"empty")
    assert list_versions(store, fork.id) == [1, 0]
    assert store.objects_of(fork.id).load_object(store.refs.get_head(fork.id).manifest) == b"with x"


def test_a_fork_that_is_refused_changes_nothing(store: Store, volume: str) -> None:
    add(store, volume, b"x")
    store.refs.remove_versions(volume, [0])
    with pytest.raises(NotFoundError, match="version 0 "):
        store.refs.fork_volume(make_record(2), (b"a", b"b"), volume, 0)
    with pytest.raises(AlreadyExistsError):
        store.refs.fork_volume(make_record(2, "volume-1"), (b"a", b"b"), volume, 1)
    assert len(store.refs.list_volumes()) == 1
    assert not store.objects_of(volume).contains(compute_oid(Kind.MANIFEST, b"b"))


# --- environments -----------------------------------------------------------


def in_environment(number: int, environment: str, name: str = "volume-1") -> VolumeRecord:
    return replace(make_record(number, name), environment=environment)


def test_a_name_is_one_volume_in_each_environment(store: Store, volume: str) -> None:
    prod, dev = in_environment(2, "prod"), in_environment(3, "dev")
    for record in (prod, dev):
        store.refs.create_volume(record, b"m")
    assert store.refs.get_volume("volume-1").id == volume
    assert store.refs.get_volume("volume-1", "prod") == prod
    assert store.refs.find_volume_by_id(dev.id) == dev
    assert {record.full_name for record in store.refs.list_volumes()} == {
        "volume-1",
        "prod/volume-1",
        "dev/volume-1",
    }
    with pytest.raises(AlreadyExistsError, match=r"prod/volume-1: already exists"):
        store.refs.create_volume(in_environment(4, "prod"), b"m")
    store.refs.delete_volume("volume-1", environment="prod")
    with pytest.raises(NotFoundError, match="in environment 'prod'"):
        store.refs.get_volume("volume-1", "prod")
    assert store.refs.get_volume("volume-1").id == volume
    assert store.refs.get_volume("volume-1", "dev") == dev


@pytest.mark.parametrize("name", ["prod/volume-1", "/volume-1", "prod/", "main/volume-1"])
def test_no_name_leads_into_another_environment(store: Store, volume: str, name: str) -> None:
    store.refs.create_volume(in_environment(2, "prod"), b"m")
    for environment in ("main", "prod", "", "prod/volume-1"):
        with pytest.raises(NotFoundError):
            store.refs.get_volume(name, environment)
        with pytest.raises(NotFoundError):
            store.refs.delete_volume(name, environment=environment)
    assert len(store.refs.list_volumes()) == 2


def test_rename_may_change_the_environment(store: Store, volume: str) -> None:
    store.refs.create_volume(in_environment(2, "prod", "taken"), b"m")
    with pytest.raises(AlreadyExistsError):
        store.refs.rename_volume("volume-1", "taken", to="prod")
    store.refs.rename_volume("volume-1", "taken")
    store.refs.rename_volume("taken", "new", to="prod")
    assert store.refs.get_volume("new", "prod").id == volume
    store.refs.rename_volume("new", "newer", "prod")
    assert store.refs.get_volume("newer", "prod").id == volume
    store.refs.rename_volume("newer", "newer", "prod", "main")
    assert store.refs.get_volume("newer") == replace(make_record(), name="newer")


def test_an_environment_is_renamed_whole_or_not_at_all(store: Store, volume: str) -> None:
    for number, name in enumerate(("a", "b"), 2):
        store.refs.create_volume(in_environment(number, "dev", name), b"m")
    store.refs.create_volume(in_environment(9, "prod", "b"), b"m")
    before = store.refs.list_volumes()
    with pytest.raises(AlreadyExistsError, match="prod/b"):
        store.refs.rename_environment("dev", "prod")
    assert store.refs.list_volumes() == before
    assert store.refs.get_volume("a", "dev").id == make_record(2).id
    store.refs.rename_environment("dev", "test")
    assert store.refs.get_volume("a", "test").id == make_record(2).id
    assert store.refs.get_volume("b", "test").id == make_record(3).id
    assert store.refs.get_volume("b", "prod").id == make_record(9).id
    assert {record.environment for record in store.refs.list_volumes()} == {"main", "test", "prod"}
