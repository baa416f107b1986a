"""Rows of leases: those of a former volfs have fewer fields, and newer ones may have more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3

from tests.store.embedded.published import VOLUME, add
from volfs.errors import HeadMovedError
from volfs.model.objects import Kind
from volfs.store.contract.lease import Lease, LeaseKind
from volfs.store.contract.refs import Head
from volfs.store.embedded.engine import EmbeddedStore, open_embedded

FIRST: dict[str, Any] = {
    "session": "data-1",
    "volume_id": VOLUME.id,
    "versions": [0],
    "needs": [],
    "began_ns": 7,
    "over": b"",
}
"""The fields that leases had before ``onward``."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    store = open_embedded(str(tmp_path / "store"), create=True)
    store.refs.create_volume(VOLUME, b"manifest 0")
    yield store
    store.close()


def put_row(store: EmbeddedStore, fields: dict[str, Any]) -> None:
    environment = store._engine.environment
    table = environment.open_table(b"leases")
    key = blake3(fields["session"].encode()).digest()
    with environment.write() as txn:
        txn.put(key, msgspec.msgpack.encode(fields), db=table)


@pytest.mark.parametrize("more", [{}, {"onward": False}, {"onward": False, "later": [1]}])
def test_a_row_of_another_volfs_is_read_and_dropped(
    store: EmbeddedStore, more: dict[str, Any]
) -> None:
    put_row(store, FIRST | more)
    lease = Lease("data-1", VOLUME.id, (0,), (), 7)
    assert (lease.host, lease.place, lease.kind) == ("", "", LeaseKind.KEPT)
    assert store.leases.find("data-1") == lease
    assert store.leases.list_all() == [lease]
    assert lease.may_be_judged_at(store.leases.host)
    store.leases.drop("data-1", msgspec.structs.replace(lease, began_ns=8))
    assert store.leases.list_all() == [lease]
    store.leases.drop("data-1", lease)
    assert store.leases.list_all() == []


def test_a_former_volfs_reads_a_row_of_today(store: EmbeddedStore) -> None:
    """It passes over the fields that it does not know."""
    store.leases.put(Lease("data-1", VOLUME.id, (0,), (), 7, host="h", place="/p"))
    environment = store._engine.environment
    table = environment.open_table(b"leases")
    with environment.read() as txn:
        ((_, row),) = txn.list_all(table)
    former = msgspec.defstruct("Former", [(name, Any) for name in FIRST])
    assert msgspec.structs.asdict(msgspec.msgpack.decode(row, type=former)) == FIRST


def test_lease_and_head_move_in_the_same_step(store: EmbeddedStore) -> None:
    head = store.refs.get_head(VOLUME.id)
    add(store, b"theirs")
    lease = Lease("data-1", VOLUME.id, (0,), (), 7)
    with store.open_upload(VOLUME.id) as upload:
        new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
        with pytest.raises(HeadMovedError):
            store.refs.publish(upload, VOLUME.id, head, new, lease=lease)
    assert store.leases.list_all() == [], "a swap that was lost puts no lease"
