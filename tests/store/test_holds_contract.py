"""What every engine promises of holds (volfs/store/contract/leases.py)."""

from __future__ import annotations

import itertools
import signal

import pytest

from tests.crash.children import Child, Say
from tests.store.contract import add, make_record, store, url, volume
from tests.store.test_care import LiveObjects, collect
from volfs.model.objects import Oid
from volfs.store.contract.store import Store
from volfs.store.registry import open_store

__all__ = ["store", "url", "volume"]


@pytest.fixture
def manifests(store: Store, volume: str) -> list[Oid]:
    """Of the versions 0 to 4."""
    for number in range(4):
        add(store, volume, b"%d" % number)
    return [head.manifest for head in reversed(list(store.refs.iter_versions(volume)))]


def test_what_is_held_is_not_expired(store: Store, volume: str, manifests: list[Oid]) -> None:
    with (
        store.leases.hold(manifests[1]),
        store.leases.hold(manifests[3]),
        store.leases.hold(manifests[3]),
    ):
        assert [store.leases.is_held(each) for each in manifests] == [
            False,
            True,
            False,
            True,
            False,
        ]
        assert store.refs.remove_versions(volume, [0, 1, 2, 3]) == [0, 2]
    assert not any(map(store.leases.is_held, manifests))
    assert store.refs.remove_versions(volume, [1, 3]) == [1, 3]


def test_one_of_two_holds_is_enough(store: Store, manifests: list[Oid]) -> None:
    for first, second in itertools.permutations(range(2)):
        holds = [store.leases.hold(manifests[1]) for _ in range(2)]
        for hold in holds:
            hold.__enter__()
        holds[first].__exit__(None, None, None)
        assert store.leases.is_held(manifests[1])
        holds[second].__exit__(None, None, None)
        assert not store.leases.is_held(manifests[1])


def test_gc_keeps_what_is_held_though_its_volume_is_gone(
    store: Store, volume: str, manifests: list[Oid]
) -> None:
    """Keep knows of roots alone, and of nothing below them."""
    with store.leases.hold(manifests[1]):
        store.refs.delete_volume(make_record().name)
        collect(store, LiveObjects(), grace=0)
        assert [store.objects.contains(each) for each in manifests[:3]] == [False, True, False]
        assert store.objects.load_object(manifests[1])
    collect(store, LiveObjects(), grace=0)
    assert not store.objects.contains(manifests[1])


def test_holding_what_is_not_there_keeps_nothing(store: Store, volume: str) -> None:
    with store.leases.hold(Oid(b"\xff" * 32)), store.leases.hold(Oid(b"\0" * 32)):
        assert store.leases.is_held(Oid(b"\xff" * 32))
        collect(store, LiveObjects(), grace=0)


def test_a_hold_outlasts_the_handle(
    store: Store, url: str, volume: str, manifests: list[Oid]
) -> None:
    other = open_store(url)
    with other.leases.hold(manifests[1]):
        other.close()
        assert store.leases.is_held(manifests[1])
    assert not store.leases.is_held(manifests[1])


def test_a_hold_ends_with_its_process(url: str) -> None:
    store = open_store(url, create=True)
    store.refs.create_volume(make_record(), b"manifest 0")
    add(store, make_record().id, b"1")
    (_, first) = store.refs.iter_versions(make_record().id)
    store.close()

    def work(say: Say) -> None:
        with open_store(url).leases.hold(first.manifest):
            say("held")
            signal.pause()

    child = Child(work)
    assert child.listen(1)
    store = open_store(url)
    assert store.leases.is_held(first.manifest)
    assert store.refs.remove_versions(make_record().id, [0]) == []
    child.kill()
    assert store.refs.remove_versions(make_record().id, [0]) == [0]
    store.close()
