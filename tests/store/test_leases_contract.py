"""What every engine promises of leases (volfs/store/base.py)."""

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
from volfs.store.base import Head, Store
from volfs.store.registry import open_store

__all__ = ["store", "url", "volume"]


def test_a_lease_keeps_every_field(store: Store, url: str, volume: str) -> None:
    add(store, volume, b"x")
    for session in ("data-1", "/somewhere/" + "long/" * 500 + "ö"):
        lease = make_lease(volume, 0, 1, session=session)
        store.put_lease(lease)
        assert store.find_lease(session) == lease
    other = open_store(url)
    assert other.list_leases() == store.list_leases()
    assert isinstance(other.list_leases()[0].needs[0].kind, Kind)
    other.close()


def test_a_session_has_one_lease(store: Store, volume: str) -> None:
    for versions in ((0,), ()):
        store.put_lease(make_lease(volume, *versions))
    store.put_lease(make_lease(volume, 0, session="data-0"))
    assert [(lease.session, lease.versions) for lease in store.list_leases()] == [
        ("data-0", (0,)),
        ("data-1", ()),
    ]


def test_a_lease_onward_keeps_what_comes_after_it(store: Store, volume: str) -> None:
    for number in range(4):
        add(store, volume, b"%d" % number)
    lease = msgspec.structs.replace(make_lease(volume, 2), onward=True)
    store.put_lease(lease)
    assert store.list_leases() == [lease]
    assert store.remove_versions(volume, [0, 1, 2, 3, 4]) == [0, 1]
    store.put_lease(make_lease(volume, 2))
    assert store.remove_versions(volume, [2, 3, 4]) == [3]


def test_the_head_without_waiting(store: Store, volume: str) -> None:
    add(store, volume, b"x")
    assert store.find_head_ready(volume) in (store.get_head(volume), None)
    with pytest.raises(NotFoundError):
        store.find_head_ready("vo-none") or store.get_head("vo-none")


def test_a_lease_on_a_version_that_is_not_there(store: Store, volume: str) -> None:
    store.put_lease(make_lease(volume, 0))
    for lease in (make_lease(volume, 0, 1), make_lease("vo-none", 0)):
        with pytest.raises(NotFoundError):
            store.put_lease(lease)
    assert store.list_leases() == [make_lease(volume, 0)]


def test_dropping_a_lease(store: Store, volume: str) -> None:
    store.put_lease(make_lease(volume, 0))
    for _ in range(2):
        store.drop_lease("data-1")
        assert store.find_lease("data-1") is None
    assert store.list_leases() == []


def test_a_lease_that_was_replaced_is_not_dropped_by_mistake(store: Store, volume: str) -> None:
    old, new = (make_lease(volume, 0, began_ns=began_ns) for began_ns in (1, 2))
    store.put_lease(old)
    store.put_lease(new)
    store.drop_lease(old.session, old)
    assert store.list_leases() == [new]
    store.drop_lease(new.session, new)
    assert store.list_leases() == []


def test_a_volume_with_a_lease_is_deleted_only_where_that_is_stale(
    store: Store, volume: str
) -> None:
    lease = make_lease(volume, 0)
    store.put_lease(lease)
    with pytest.raises(VolumeInUseError, match=lease.session):
        store.delete_volume("volume-1", ["another"])
    assert store.get_volume("volume-1").id == volume
    store.delete_volume("volume-1", [lease.session])
    assert store.list_leases() == [lease]
    with pytest.raises(NotFoundError):
        store.put_lease(lease)


def test_publishing_puts_the_lease(store: Store, volume: str) -> None:
    head = store.get_head(volume)
    lease = make_lease(volume, 0, 1)
    with store.open_upload() as upload:
        new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
        store.publish(upload, volume, head, new, lease=lease)
    assert store.list_leases() == [lease]


def test_a_lost_swap_puts_no_lease(store: Store, volume: str) -> None:
    head = store.get_head(volume)
    add(store, volume, b"theirs")
    with store.open_upload() as upload:
        new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
        with pytest.raises(HeadMovedError):
            store.publish(upload, volume, head, new, lease=make_lease(volume, 0))
    assert store.list_leases() == []


def test_a_lease_that_is_refused_keeps_the_head(store: Store, volume: str) -> None:
    head = store.get_head(volume)
    with store.open_upload() as upload:
        new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
        with pytest.raises(NotFoundError):
            store.publish(upload, volume, head, new, lease=make_lease(volume, 2))
        assert store.get_head(volume) == head
        store.publish(upload, volume, head, new, lease=make_lease(volume, 1))
    assert store.get_head(volume) == new


def test_publishing_what_shares_a_version(store: Store, volume: str) -> None:
    head = store.get_head(volume)
    with store.open_upload() as upload:
        new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
        with pytest.raises(NotFoundError, match="version 1 "):
            store.publish(upload, volume, head, new, shares=(0, 1))
        assert store.get_head(volume) == head
        store.publish(upload, volume, head, new, shares=(0,))
    assert store.get_head(volume) == new
