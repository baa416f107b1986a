"""Refs in a bucket: requests are counted, and every death half way leaves what can go on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import pytest
from msgspec.structs import replace

from tests.store.contract import add, make_lease, make_record, run_threads
from tests.store.distributed.line_store import LineStore
from volfs.buckets.access import Bucket, open_memory_bucket
from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.doors.memory import MemoryDoor
from volfs.buckets.objects import Condition, ObjectInfo
from volfs.errors import (
    AlreadyExistsError,
    ConflictError,
    LimitError,
    NotFoundError,
    StoreError,
    VolumeInUseError,
)
from volfs.model.logs.volume_changes import VolumeDeleted
from volfs.model.objects import Buffer
from volfs.store.contract.refs import VolumeRecord
from volfs.store.distributed.refs import bucket_refs


class CountingDoor(MemoryDoor):
    """Notes requests for objects, and refuses all of them from a number on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.last = 1 << 60

    def count(self, verb: str, key: str) -> None:
        self.seen.append(f"{verb} {key.partition('/')[0]}")
        if len(self.seen) > self.last:
            raise RequestFailure(FailureKind.DENIED, status=403)

    def get(
        self, key: str, span: tuple[int, int] | None, etag: str | None, timeout: float
    ) -> tuple[ObjectInfo, Buffer]:
        self.count("GET", key)
        return super().get(key, span, etag, timeout)

    def put(
        self, key: str, data: Buffer, condition: Condition, mark: str, timeout: float
    ) -> ObjectInfo:
        self.count("PUT", key)
        return super().put(key, data, condition, mark, timeout)


ONE, TWO = make_record(1), make_record(2)


@pytest.fixture
def bucket() -> Bucket:
    return open_memory_bucket()


@pytest.fixture
def store(bucket: Bucket) -> LineStore:
    store = LineStore(bucket)
    store.refs.create_volume(ONE, b"manifest 0")
    return store


def end_log(store: LineStore, volume: str) -> None:
    """As somebody who dies before the catalog hears of it."""
    store.refs.logs.open(volume).change(lambda _: [VolumeDeleted()])


def test_a_name_of_a_deleted_volume_is_free(store: LineStore) -> None:
    end_log(store, ONE.id)
    with pytest.raises(NotFoundError, match="volume-1: no such volume"):
        store.refs.get_volume("volume-1")
    with pytest.raises(NotFoundError):
        store.refs.rename_volume("volume-1", "other")
    store.refs.create_volume(replace(TWO, name="volume-1"), b"m")
    assert store.refs.get_volume("volume-1").id == TWO.id
    assert [record.id for record in store.refs.list_volumes()] == [TWO.id]


def test_a_name_of_a_deleted_volume_may_be_given_by_renaming(store: LineStore) -> None:
    store.refs.create_volume(TWO, b"m")
    store.refs.create_volume(replace(make_record(3), environment="dev", name="volume-1"), b"m")
    end_log(store, ONE.id)
    store.refs.rename_environment("dev", "main")
    assert store.refs.get_volume("volume-1").id == make_record(3).id
    end_log(store, make_record(3).id)
    store.refs.rename_volume("volume-2", "volume-1")
    assert store.refs.get_volume("volume-1").id == TWO.id


def test_a_fork_that_its_first_line_cannot_hold_is_not_begun(
    store: LineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source does not hear of it, and the error says what helps."""
    before = store.refs.logs.get(ONE.id)
    monkeypatch.setattr(bucket_refs, "LINE_LIMIT", bucket_refs.ROOM_OF_MANIFESTS + 100)
    with pytest.raises(LimitError, match=r"volume-2: a fork would .* name 1 packs .* `volfs gc`"):
        store.refs.fork_volume(TWO, (b"a", b"b"), ONE.id, 0)
    assert store.refs.logs.get(ONE.id) == before
    monkeypatch.undo()
    store.refs.fork_volume(TWO, (b"a", b"b"), ONE.id, 0)


def test_a_deleted_volume_can_be_deleted_again_by_nobody(store: LineStore) -> None:
    store.refs.delete_volume("volume-1")
    for call in (
        lambda: store.refs.delete_volume("volume-1"),
        lambda: store.refs.get_head(ONE.id),
        lambda: store.refs.guess_head(ONE.id),
        lambda: store.refs.put_tag(ONE.id, "a", 0),
        lambda: store.refs.fork_volume(TWO, (b"a", b"b"), ONE.id, 0),
    ):
        with pytest.raises(NotFoundError):
            call()
    assert store.refs.list_volumes() == []
    with pytest.raises(AlreadyExistsError, match="already exists"):
        store.refs.create_volume(ONE, b"again")  # The id was used, and is never free again.


def test_the_log_of_a_volume_knows_its_name(store: LineStore) -> None:
    store.refs.rename_volume("volume-1", "new", to="prod")
    facts = store.refs.logs.get(ONE.id).facts
    assert facts is not None
    assert (facts.name, facts.environment) == ("new", "prod")


def test_an_ephemeral_volume_is_not_in_the_catalog(store: LineStore) -> None:
    record = replace(TWO, name=TWO.id, environment="prod")
    store.refs.create_volume(record, b"m")
    assert store.refs.list_volumes() == [ONE]
    assert store.refs.get_volume(TWO.id, "prod") == record
    assert store.refs.find_volume_by_id(TWO.id) == record
    with pytest.raises(NotFoundError):
        store.refs.get_volume(TWO.id)
    store.refs.delete_volume(TWO.id, "prod")
    assert store.refs.find_volume_by_id(TWO.id) is None


@pytest.mark.parametrize(
    "name", ["", "../volume-1", "vo-1/log/0", "vo-" + "é" * 22, "v\0", "\udc80"]
)
def test_what_no_volume_can_be_called_is_nowhere(store: LineStore, name: str) -> None:
    assert store.refs.find_volume_by_id(name) is None
    for call in (store.refs.get_volume, store.refs.get_head, store.refs.delete_volume):
        with pytest.raises(NotFoundError):
            call(name)


def test_a_record_of_any_text_comes_back(store: LineStore) -> None:
    record = replace(TWO, created_by="caf\udce9 \0", auto_commit=0.1)
    store.refs.create_volume(record, b"m")
    assert LineStore(store.bucket).refs.get_volume("volume-2") == record


def test_a_fork_reads_from_what_its_source_reads_from(store: LineStore) -> None:
    (chunk,) = add(store, ONE.id, b"chunk")
    store.refs.fork_volume(TWO, (b"empty", b"with chunk"), ONE.id, 1)
    store.refs.fork_volume(make_record(3), (b"e", b"w"), TWO.id, 1)
    other = LineStore(store.bucket)
    for volume in (ONE.id, TWO.id, make_record(3).id):
        assert other.objects_of(volume).load_object(chunk) == b"chunk"
    assert store.refs.logs.get(ONE.id).forks.get(TWO.id) == (1, 2)


def test_a_fork_that_gc_has_overtaken_fails(store: LineStore) -> None:
    store.refs.logs.begin(TWO.id, [VolumeDeleted()], b"")
    with pytest.raises(ConflictError, match="the fork took too long; fork again"):
        store.refs.fork_volume(TWO, (b"a", b"b"), ONE.id, 0)
    assert [record.id for record in store.refs.list_volumes()] == [ONE.id]


def test_two_take_one_name_at_once(bucket: Bucket) -> None:
    stores = [LineStore(bucket) for _ in range(6)]
    refused: list[int] = []

    def create(number: int) -> None:
        record = VolumeRecord(f"vo-{number:022}", "same", 2, 20, number, "me")
        try:
            stores[number].refs.create_volume(record, b"m")
        except AlreadyExistsError:
            refused.append(number)

    run_threads(6, create)
    (won,) = LineStore(bucket).refs.list_volumes()
    assert {int(won.id[3:]), *refused} == set(range(6))
    for number in refused:
        assert stores[0].refs.find_volume_by_id(f"vo-{number:022}") is None


def test_tags_and_expiry_from_many_processes(bucket: Bucket, store: LineStore) -> None:
    for _ in range(8):
        add(store, ONE.id, b"x")

    def work(number: int) -> None:
        refs = LineStore(bucket).refs
        refs.put_tag(ONE.id, f"t{number}", number)
        refs.remove_versions(ONE.id, range(9))
        refs.put_tag(ONE.id, "last", 8, move=True)

    kept = [4, 5, 6, 7]
    for number in kept:
        store.refs.put_tag(ONE.id, f"t{number}", number)
    run_threads(4, lambda number: work(number + 4))
    assert [head.version for head in store.refs.iter_versions(ONE.id)] == [8, *kept[::-1]]
    assert dict(store.refs.list_tags(ONE.id)) == {f"t{n}": n for n in kept} | {"last": 8}


def test_a_leased_volume_is_not_deleted(store: LineStore) -> None:
    store.refs.create_volume(TWO, b"m")
    store.leases.put(make_lease(TWO.id, 0))
    store.refs.delete_volume("volume-1")
    with pytest.raises(VolumeInUseError, match="volume-2: the mount data-1"):
        store.refs.delete_volume("volume-2")
    assert store.refs.get_head(TWO.id).version == 0


def test_nothing_to_do_writes_no_line(store: LineStore) -> None:
    store.refs.put_tag(ONE.id, "a", 0)
    line = store.refs.logs.get(ONE.id).number
    store.refs.put_tag(ONE.id, "a", 0)
    assert store.refs.remove_versions(ONE.id, [0, 7]) == []
    store.refs.rename_environment("nobody", "x")
    assert store.refs.logs.get(ONE.id).number == line


def test_what_is_not_there_is_not_remembered(store: LineStore) -> None:
    assert store.refs.find_volume_by_id(TWO.id) is None
    LineStore(store.bucket).refs.create_volume(TWO, b"m")
    assert store.refs.find_volume_by_id(TWO.id) == TWO


def test_a_guess_asks_for_nothing(store: LineStore) -> None:
    other = LineStore(store.bucket)
    head = store.refs.get_head(ONE.id)
    add(other, ONE.id, b"x")
    assert store.refs.guess_head(ONE.id) == head
    assert store.refs.find_head_ready(ONE.id) is None
    assert store.refs.get_head(ONE.id).version == 1
    assert store.refs.guess_head(ONE.id).version == 1


# --- requests --------------------------------------------------------------------------


@pytest.fixture
def door() -> CountingDoor:
    return CountingDoor()


def count(door: CountingDoor, action: Callable[[], object]) -> tuple[int, int]:
    """How many lines an action asks for, and how many it writes."""
    before = len(door.seen)
    action()
    seen = door.seen[before:]
    return sum(each.startswith("GET") for each in seen), sum(each[:3] == "PUT" for each in seen)


def test_requests_are_few(door: CountingDoor) -> None:
    store = LineStore(Bucket(door, ""))
    refs = store.refs
    refs.create_volume(ONE, b"m")
    add(store, ONE.id, b"x")
    assert count(door, lambda: refs.guess_head(ONE.id)) == (0, 0)
    assert count(door, lambda: refs.get_head(ONE.id)) == (1, 0)
    assert count(door, lambda: list(refs.iter_versions(ONE.id))) == (1, 0)
    assert count(door, lambda: refs.put_tag(ONE.id, "a", 0)) == (1, 1)
    assert count(door, lambda: refs.delete_tag(ONE.id, "a")) == (1, 1)
    assert count(door, lambda: refs.remove_versions(ONE.id, [0])) == (1, 1)
    assert count(door, refs.list_volumes) == (1, 0)
    assert count(door, lambda: refs.get_volume("volume-1")) == (2, 0)
    assert count(door, lambda: refs.create_volume(TWO, b"m")) == (1, 2)
    assert count(door, lambda: refs.rename_volume("volume-2", "new"))[1] == 2
    assert count(door, lambda: refs.fork_volume(make_record(3), (b"a", b"b"), ONE.id, 1))[1] == 3
    assert count(door, lambda: refs.delete_volume("new"))[1] == 2


ACTIONS: dict[str, Callable[[LineStore], None]] = {
    "create": lambda store: store.refs.create_volume(TWO, b"m"),
    "fork": lambda store: store.refs.fork_volume(TWO, (b"a", b"b"), ONE.id, 0),
    "rename": lambda store: store.refs.rename_volume("volume-1", "volume-2"),
    "move all": lambda store: store.refs.rename_environment("main", "prod"),
    "delete": lambda store: store.refs.delete_volume("volume-1"),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_action_that_dies_at_any_request_can_be_done_again(action: str) -> None:
    """By another process, and no name leads to nothing, or twice."""
    for last in itertools.count():
        door = CountingDoor()
        bucket = Bucket(door, "")
        store = LineStore(bucket)
        store.refs.create_volume(ONE, b"m")
        door.last = len(door.seen) + last
        is_whole = try_action(ACTIONS[action], store)
        was_refused = len(door.seen) > door.last
        door.last = 1 << 60
        other = LineStore(bucket)
        if not is_whole:
            try_action(partial(do_again, action), other)
        check_names(other, action)
        if not was_refused:
            assert is_whole
            return


def try_action(action: Callable[[LineStore], None], store: LineStore) -> bool:
    try:
        action(store)
    except (StoreError, AlreadyExistsError, NotFoundError):
        return False
    return True


def do_again(action: str, store: LineStore) -> None:
    """With another id, as everybody does."""
    again = replace(TWO, id=make_record(4).id)
    if action == "create":
        store.refs.create_volume(again, b"m")
    elif action == "fork":
        store.refs.fork_volume(again, (b"a", b"b"), ONE.id, 0)
    else:
        ACTIONS[action](store)


def check_names(store: LineStore, action: str) -> None:
    names = {record.full_name for record in store.refs.list_volumes()}
    wanted = {
        "create": {"volume-1", "volume-2"},
        "fork": {"volume-1", "volume-2"},
        "rename": {"volume-2"},
        "move all": {"prod/volume-1"},
        "delete": set(),
    }
    alive = {r.full_name for r in store.refs.list_volumes() if store.refs.find_volume_by_id(r.id)}
    assert alive == wanted[action]
    assert names - alive <= {"volume-1"}  # It was deleted, and its name is free.
    if names - alive:
        store.refs.create_volume(replace(make_record(5), name="volume-1"), b"m")
