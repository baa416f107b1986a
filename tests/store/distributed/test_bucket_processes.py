"""What every engine promises of several processes, for a store in a bucket by its address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.store import test_holds_contract, test_races_contract
from tests.store.contract import make_record
from tests.store.distributed.test_bucket_store_contract import LATER
from tests.store.distributed.test_engine import url
from tests.store.test_holds_contract import heads
from volfs.store.contract.store import Store
from volfs.store.registry import open_store

__all__ = ["heads", "url"]

PROMISES = {
    name: promise
    for suite in (test_holds_contract, test_races_contract)
    for name, promise in vars(suite).items()
    if name in LATER
}
globals().update(PROMISES)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url, create=True)
    yield store
    store.close()


@pytest.fixture
def volume(store: Store) -> str:
    record = make_record()
    store.refs.create_volume(record, b"manifest 0")
    return record.id


def test_nothing_is_left_for_later() -> None:
    assert PROMISES.keys() == LATER
