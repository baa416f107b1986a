"""What every engine promises of leases (volfs/store/contract/leases.py)."""

from __future__ import annotations

import msgspec
import pytest

from tests.store.contract import (
    add,
    make_lease,
    store,
    url,
    volume,
)
from volfs.errors import HeadMovedError, NotFoundError, VolumeInUseError
from volfs.model.objects import Kind
from volfs.store.contract.lease import LeaseKind
from volfs.store.contract.refs import Head
from volfs.store.contract.store import Store
from volfs.store.registry import open_store

__all__ = ["store", "url", "volume"]


def test_a_lease_keeps_every_field(store: Store, url: str, volume: str) -> None:
    add(store, volume, b"x")
    for session in ("data-1", "/somewhere/" + "long/" * 500 + "ö"):
        lease = msgspec.structs.replace(
            make_lease(volume, 0, 1, session=session),
            over=b"stamp",
            onward=True,
            host="machine",
            place="/mnt/\udcffö",
            kind=LeaseKind.RENEWED,
        )
        store.leases.put(lease)
        assert store.leases.find(session) == lease
    other = open_store(url)
    assert other.leases.list_all() == store.leases.list_all()
    assert isinstance(other.leases.list_all()[0].needs[0].kind, Kind)
    other.close()


def test_a_session_has_one_lease(store: Store, volume: str) -> None:
    for versions in ((0,), ()):
        store.leases.put(make_lease(volume, *versions))
    store.leases.put(make_lease(volume, 0, session="data-0"))
    assert [(lease.session, lease.versions) for lease in store.leases.list_all()] == [
        ("data-0", (0,)),
        ("data-1", ()),
    ]


def test_a_lease_onward_keeps_what_comes_after_it(store: Store, volume: str) -> None:
    for number in range(4):
        add(store, volume, b"%d" % number)
    lease = msgspec.structs.replace(make_lease(volume, 2), onward=True)
    store.leases.put(lease)
    assert store.leases.list_all() == [lease]
    assert store.refs.remove_versions(volume, [0, 1, 2, 3, 4]) == [0, 1]
    store.leases.put(make_lease(volume, 2))
    assert store.refs.remove_versions(volume, [2, 3, 4]) == [3]


def test_the_head_without_waiting(store: Store, volume: str) -> None:
    add(store, volume, b"x")
    assert store.refs.find_head_ready(volume) in (store.refs.get_head(volume), None)
    with pytest.raises(NotFoundError):
        store.refs.find_head_ready("vo-none") or store.refs.get_head("vo-none")


def test_a_guess_is_not_older_than_what_was_told(store: Store, url: str, volume: str) -> None:
    """And a publish onto it tells whether it is right."""
    add(store, volume, b"1")
    told = store.refs.get_head(volume)
    other = open_store(url)
    add(other, volume, b"2")
    other.close()
    guess = store.refs.guess_head(volume)
    assert guess in {told, store.refs.get_head(volume)}
    assert store.refs.guess_head(volume) == store.refs.get_head(volume)
    with store.open_upload(volume) as upload:
        new = Head(told.version + 1, upload.put_object(Kind.MANIFEST, b"m"))
        with pytest.raises(HeadMovedError):
            store.refs.publish(upload, volume, told, new)
    with pytest.raises(NotFoundError):
        store.refs.guess_head("vo-none")


def test_a_lease_on_a_version_that_is_not_there(store: Store, volume: str) -> None:
    store.leases.put(make_lease(volume, 0))
    for lease in (make_lease(volume, 0, 1), make_lease("vo-none", 0)):
        with pytest.raises(NotFoundError):
            store.leases.put(lease)
    assert store.leases.list_all() == [make_lease(volume, 0)]


def test_dropping_a_lease(store: Store, volume: str) -> None:
    store.leases.put(make_lease(volume, 0))
    for _ in range(2):
        store.leases.drop("data-1")
        assert store.leases.find("data-1") is None
    assert store.leases.list_all() == []


def test_a_lease_that_was_replaced_is_not_dropped_by_mistake(store: Store, volume: str) -> None:
    old, new = (make_lease(volume, 0, began_ns=began_ns) for began_ns in (1, 2))
    store.leases.put(old)
    store.leases.put(new)
    store.leases.drop(old.session, old)
    assert store.leases.list_all() == [new]
    store.leases.drop(new.session, new)
    assert store.leases.list_all() == []


@pytest.mark.parametrize("versions", [(), (0,)])
def test_a_volume_is_not_deleted_before_its_leases_are_dropped(
    store: Store, volume: str, versions: tuple[int, ...]
) -> None:
    lease = make_lease(volume, *versions)
    store.leases.put(lease)
    with pytest.raises(VolumeInUseError, match=lease.session):
        store.refs.delete_volume("volume-1")
    assert store.refs.get_volume("volume-1").id == volume
    store.leases.drop(lease.session, lease)
    store.refs.delete_volume("volume-1")
    with pytest.raises(NotFoundError):
        store.leases.put(make_lease(volume, 0))


def test_a_lease_of_a_volume_that_was_deleted(store: Store, volume: str) -> None:
    store.refs.delete_volume("volume-1")
    lease = make_lease(volume)
    store.leases.put(lease)
    assert store.leases.list_all() == [lease]


def test_a_lease_is_judged_where_its_session_is(store: Store, volume: str) -> None:
    here, elsewhere = (make_lease(volume, 0, session=session) for session in ("data-1", "data-2"))
    here = msgspec.structs.replace(here, host=store.leases.host)
    elsewhere = msgspec.structs.replace(elsewhere, host="another-machine")
    for lease in (here, elsewhere):
        store.leases.put(lease)
    judged = [each.may_be_judged_at(store.leases.host) for each in store.leases.list_all()]
    assert judged == [True, False]
    assert store.leases.pause >= 0
    assert store.leases.renewal > 0


def test_publishing_puts_the_lease(store: Store, volume: str) -> None:
    head = store.refs.get_head(volume)
    lease = make_lease(volume, 0, 1)
    with store.open_upload(volume) as upload:
        new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
        store.refs.publish(upload, volume, head, new, lease=lease)
    assert store.leases.list_all() == [lease]


def test_a_lost_swap_keeps_the_head(store: Store, volume: str) -> None:
    """The lease is durable before the head moves, so it may be there."""
    head = store.refs.get_head(volume)
    add(store, volume, b"theirs")
    theirs, lease = store.refs.get_head(volume), make_lease(volume, 0)
    with store.open_upload(volume) as upload:
        new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
        with pytest.raises(HeadMovedError):
            store.refs.publish(upload, volume, head, new, lease=lease)
    assert store.refs.get_head(volume) == theirs
    assert store.leases.list_all() in ([], [lease])


def test_a_lease_that_is_refused_keeps_the_head(store: Store, volume: str) -> None:
    head = store.refs.get_head(volume)
    with store.open_upload(volume) as upload:
        new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
        with pytest.raises(NotFoundError):
            store.refs.publish(upload, volume, head, new, lease=make_lease(volume, 2))
        assert store.refs.get_head(volume) == head
        store.refs.publish(upload, volume, head, new, lease=make_lease(volume, 1))
    assert store.refs.get_head(volume) == new


def test_publishing_what_shares_a_version(store: Store, volume: str) -> None:
    head = store.refs.get_head(volume)
    with store.open_upload(volume) as upload:
        new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
        with pytest.raises(NotFoundError, match="version 1 "):
            store.refs.publish(upload, volume, head, new, shares=(0, 1))
        assert store.refs.get_head(volume) == head
        store.refs.publish(upload, volume, head, new, shares=(0,))
    assert store.refs.get_head(volume) == new
