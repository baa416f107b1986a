"""What every engine promises those who publish at once, or die (volfs/store/contract)."""

from __future__ import annotations

import pytest

from tests.store.contract import (
    add,
    make_record,
    noise,
    publish_next,
    run_python,
    run_threads,
    store,
    url,
    volume,
)
from volfs.errors import HeadMovedError, NotFoundError
from volfs.model.objects import Kind, compute_oid
from volfs.store.contract.objects import Upload
from volfs.store.contract.refs import Head
from volfs.store.contract.store import Store
from volfs.store.registry import open_store

__all__ = ["store", "url", "volume"]

# --- races ------------------------------------------------------------------


def test_interloper_between_read_and_swap(store: Store, url: str, volume: str) -> None:
    head = store.refs.get_head(volume)
    other = open_store(url)
    with store.open_upload(volume) as upload:
        oid = upload.put_object(Kind.CHUNK, b"mine")
        mine = upload.put_object(Kind.MANIFEST, b"mine on 0")
        add(other, volume, b"theirs")
        with pytest.raises(HeadMovedError):
            store.refs.publish(upload, volume, head, Head(1, mine))
        assert not store.objects_of(volume).contains(oid)
        assert not store.objects_of(volume).contains(mine)
        assert upload.load_object(oid) == b"mine"
        assert publish_next(store, volume, upload).version == 2
    assert store.objects_of(volume).load_object(oid) == b"mine"
    other.close()


def test_same_version_other_manifest_has_moved(store: Store, volume: str) -> None:
    head = Head(0, compute_oid(Kind.MANIFEST, b"another"))
    with store.open_upload(volume) as upload:
        oid = upload.put_object(Kind.MANIFEST, b"m")
        with pytest.raises(HeadMovedError):
            store.refs.publish(upload, volume, head, Head(1, oid))


def test_publish_to_a_deleted_volume(store: Store, volume: str) -> None:
    head = store.refs.get_head(volume)
    with store.open_upload(volume) as upload:
        oid = upload.put_object(Kind.MANIFEST, b"m")
        store.refs.delete_volume("volume-1")
        with pytest.raises(NotFoundError):
            store.refs.publish(upload, volume, head, Head(1, oid))


def test_two_uploads_of_the_same_object(store: Store, volume: str) -> None:
    data = noise(10_000)
    with store.open_upload(volume) as one, store.open_upload(volume) as two:
        oid = one.put_object(Kind.CHUNK, data)
        assert two.put_object(Kind.CHUNK, data) == oid
        publish_next(store, volume, one)
        assert store.objects_of(volume).load_object(oid) == data
        publish_next(store, volume, two)
    assert store.objects_of(volume).load_object(oid) == data


def test_an_abandoned_upload_takes_nothing_of_a_live_one(store: Store, volume: str) -> None:
    with store.open_upload(volume) as live:
        before = live.put_object(Kind.CHUNK, noise(5000, 1))
        with store.open_upload(volume) as dead:
            dead.put_object(Kind.CHUNK, noise(9000, 2))
        after = live.put_object(Kind.CHUNK, noise(5000, 3))
        add(store, volume, noise(100, 4))
        publish_next(store, volume, live)
    assert store.objects_of(volume).load_object(before) == noise(5000, 1)
    assert store.objects_of(volume).load_object(after) == noise(5000, 3)


def test_threads_publish_a_linear_history(store: Store, volume: str) -> None:
    def work(thread: int) -> None:
        for number in range(10):
            with store.open_upload(volume) as upload:
                upload.put_object(Kind.CHUNK, noise(3000, thread * 100 + number))
                publish_until_won(store, volume, upload, f"{thread} {number}")

    run_threads(4, work)
    assert [head.version for head in store.refs.iter_versions(volume)] == list(range(40, -1, -1))


def publish_until_won(store: Store, volume: str, upload: Upload, note: str) -> None:
    while True:
        try:
            publish_next(store, volume, upload, note)
        except HeadMovedError:
            continue
        return


# --- other processes --------------------------------------------------------


PUBLISH = """
    import os, sys
    from volfs.model.objects import Kind
    from volfs.store.contract.refs import Head
    from volfs.store.registry import open_store
    url, volume, how = sys.argv[1:]
    store = open_store(url)
    head = store.refs.get_head(volume)
    upload = store.open_upload(volume)
    upload.put_object(Kind.CHUNK, b"from another process")
    new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, b"theirs"))
    if how == "die":
        os._exit(0)
    store.refs.publish(upload, volume, head, new)
    os._exit(0)
"""


def test_what_another_process_published_is_seen(store: Store, url: str, volume: str) -> None:
    oid = compute_oid(Kind.CHUNK, b"from another process")
    assert not store.objects_of(volume).contains(oid)
    run_python(PUBLISH, url, volume, "publish")
    assert store.refs.get_head(volume).version == 1
    assert store.objects_of(volume).load_object(oid) == b"from another process"
    add(store, volume, b"and on")


def test_a_process_that_died_before_publish_left_nothing(
    store: Store, url: str, volume: str
) -> None:
    add(store, volume, noise(1000))
    run_python(PUBLISH, url, volume, "die")
    assert store.refs.get_head(volume).version == 1
    assert not store.objects_of(volume).contains(compute_oid(Kind.CHUNK, b"from another process"))
    add(store, volume, noise(2000))


def test_what_was_published_is_there_after_reopening(url: str) -> None:
    store = open_store(url, create=True)
    store.refs.create_volume(make_record(), b"m")
    (oid,) = add(store, make_record().id, noise(7000))
    store.close()
    again = open_store(url)
    assert again.objects_of(make_record().id).load_object(oid) == noise(7000)
    assert again.refs.get_head(make_record().id).version == 1
    again.close()
