"""What every engine promises of holds (volfs/store/contract/leases.py)."""

from __future__ import annotations

import itertools
import signal

import pytest

from tests.crash.children import Child, Say
from tests.store.contract import add, make_record, store, url, volume
from tests.store.test_care import LiveObjects, collect
from volfs.model.objects import Oid
from volfs.store.contract.refs import Head
from volfs.store.contract.store import Store
from volfs.store.registry import open_store

__all__ = ["store", "url", "volume"]


@pytest.fixture
def heads(store: Store, volume: str) -> list[Head]:
    """The versions 0 to 4."""
    for number in range(4):
        add(store, volume, b"%d" % number)
    return sorted(store.refs.iter_versions(volume))


def test_what_is_held_is_not_expired(store: Store, volume: str, heads: list[Head]) -> None:
    with (
        store.leases.hold(volume, heads[1]),
        store.leases.hold(volume, heads[3]),
        store.leases.hold(volume, heads[3]),
    ):
        assert store.leases.list_held(volume) == [1, 3]
        assert store.refs.remove_versions(volume, [0, 1, 2, 3]) == [0, 2]
    assert store.leases.list_held(volume) == []
    assert store.refs.remove_versions(volume, [1, 3]) == [1, 3]


def test_one_of_two_holds_is_enough(store: Store, volume: str, heads: list[Head]) -> None:
    for first, second in itertools.permutations(range(2)):
        holds = [store.leases.hold(volume, heads[1]) for _ in range(2)]
        for hold in holds:
            hold.__enter__()
        holds[first].__exit__(None, None, None)
        assert store.leases.list_held(volume) == [1]
        holds[second].__exit__(None, None, None)
        assert store.leases.list_held(volume) == []


def test_only_the_versions_of_the_volume_are_listed(
    store: Store, volume: str, heads: list[Head]
) -> None:
    other = make_record(2)
    store.refs.create_volume(other, b"another manifest")
    with store.leases.hold(other.id, store.refs.get_head(other.id)):
        assert store.leases.list_held(volume) == []
        assert store.leases.list_held(other.id) == [0]
    assert store.leases.list_held("vo-none") == []


def test_gc_keeps_what_is_held_though_its_volume_is_gone(
    store: Store, volume: str, heads: list[Head]
) -> None:
    """LiveObjects knows of roots alone, and of nothing below them."""
    manifests = [head.manifest for head in heads]
    with store.leases.hold(volume, heads[1]):
        store.refs.delete_volume(make_record().name)
        collect(store, LiveObjects(), grace=0)
        assert [store.objects_of(volume).contains(each) for each in manifests[:3]] == [
            False,
            True,
            False,
        ]
        assert store.objects_of(volume).load_object(manifests[1])
    collect(store, LiveObjects(), grace=0)
    assert not store.objects_of(volume).contains(manifests[1])


def test_holding_what_is_not_there_keeps_nothing(store: Store, volume: str) -> None:
    absent = [Head(number, Oid(bytes([byte]) * 32)) for number, byte in ((7, 0xFF), (8, 0))]
    with store.leases.hold(volume, absent[0]), store.leases.hold(volume, absent[1]):
        assert store.leases.list_held(volume) == []
        collect(store, LiveObjects(), grace=0)


def test_a_hold_outlasts_the_handle(store: Store, url: str, volume: str, heads: list[Head]) -> None:
    other = open_store(url)
    with other.leases.hold(volume, heads[1]):
        other.close()
        assert store.leases.list_held(volume) == [1]
    assert store.leases.list_held(volume) == []


def test_a_hold_ends_with_its_process(url: str) -> None:
    store, volume = open_store(url, create=True), make_record().id
    store.refs.create_volume(make_record(), b"manifest 0")
    add(store, volume, b"1")
    (_, first) = store.refs.iter_versions(volume)
    store.close()

    def work(say: Say) -> None:
        with open_store(url).leases.hold(volume, first):
            say("held")
            signal.pause()

    child = Child(work)
    assert child.listen(1)
    store = open_store(url)
    assert store.leases.list_held(volume) == [0]
    assert store.refs.remove_versions(volume, [0]) == []
    child.kill()
    assert store.refs.remove_versions(volume, [0]) == [0]
    store.close()
