"""Writes whose first answer the caller waits for: as exact as those for which a thread waits."""

from __future__ import annotations

import os
import select

import pytest

from tests.buckets.faults.conftest import PASSING
from tests.harness.fault_proxy import Fault, FaultProxy
from volfs import errors
from volfs.buckets.access import Bucket
from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.writing import BegunPut

FAULTS = [*PASSING, (Fault.STATUS, {"status": 400, "code": "ExpiredToken"})]


def begin(bucket: Bucket, key: str, data: bytes, etag: str | None = None) -> BegunPut:
    if bucket.begin_put("unused", b"") is None:  # The first request finds the credentials.
        bucket.put("first", b"")
    assert bucket.connect()
    begun = bucket.begin_put(key, data, create=etag is None, etag=etag)
    assert begun is not None
    return begun


def wait(begun: BegunPut) -> None:
    while not begun.is_over:
        wanted = [begun.fileno()]
        reads, writes = ([], wanted) if begun.is_sending else (wanted, [])
        select.select(reads, writes, [], begun.patience)
        begun.advance()


@pytest.mark.parametrize(("fault", "details"), FAULTS, ids=str)
@pytest.mark.parametrize("replaces", [False, True])
def test_a_write_is_exact(
    bucket: Bucket,
    direct: Bucket,
    proxy: FaultProxy,
    fault: Fault,
    details: dict[str, object],
    replaces: bool,
) -> None:
    key = f"begun {fault.name} {details.get('status')} {details.get('code')} {replaces}"
    data = os.urandom(40_000)
    etag = bucket.put(key, b"former").etag if replaces else None
    bucket.put("first", b"")
    proxy.add(fault, method="PUT", key="begun", count=1, **details)
    begun = begin(bucket, key, data, etag)
    wait(begun)
    info = begun.settle()
    assert (info.size, info.etag) == (40_000, direct.head(key).etag)
    assert bytes(direct.get(key)[1]) == data


def test_a_plain_write_is_one_request_over_a_kept_connection(
    bucket: Bucket, direct: Bucket, proxy: FaultProxy
) -> None:
    wait(begin(bucket, "plain", b"1"))
    proxy.clear()
    for number in range(5):
        begun = bucket.begin_put(f"plain {number}", b"x" * number, create=True)
        assert begun is not None
        wait(begun)
        assert begun.info is not None
        assert begun.info.size == number
    assert proxy.count() == 5


def test_a_write_that_lost_says_so(bucket: Bucket, direct: Bucket) -> None:
    etag = direct.put("there", b"theirs").etag
    for begun, error in (
        (begin(bucket, "there", b"ours"), errors.ObjectExistsError),
        (begin(bucket, "there", b"ours", '"other"'), errors.ObjectChangedError),
        (begin(bucket, "nowhere", b"ours", etag), errors.ObjectChangedError),
    ):
        wait(begun)
        with pytest.raises(error):
            begun.settle()
    assert bytes(direct.get("there")[1]) == b"theirs"


def test_a_silent_service_gets_the_write_again(
    bucket: Bucket, direct: Bucket, proxy: FaultProxy
) -> None:
    bucket.put("first", b"")
    proxy.add(Fault.STALL, method="PUT", key="silent", count=1)
    begun = begin(bucket, "silent", b"data")
    begun.give_up(RequestFailure(FailureKind.TIMEOUT))
    assert begun.settle().size == 4
    assert bytes(direct.get("silent")[1]) == b"data"


def test_no_place_and_no_connection_are_left_to_threads(hasty: Bucket) -> None:
    hasty.put("first", b"")
    assert hasty.begin_put("none", b"", create=True) is None
    assert hasty.connect()
    for _ in range(hasty.slots):
        assert hasty.connect()
    begun = [hasty.begin_put(f"many {n}", b"", create=True) for n in range(hasty.slots + 1)]
    assert begun[-1] is None
    for one in begun[:-1]:
        assert one is not None
        wait(one)
    again = hasty.begin_put("again", b"", create=True)
    assert again is not None
    wait(again)
    assert again.info is not None


def test_a_write_that_cannot_be_told_is_uncertain(hasty: Bucket, proxy: FaultProxy) -> None:
    hasty.put("first", b"")
    proxy.add(Fault.LOSE, method="PUT", key="doubt")
    proxy.add(Fault.DROP, method="HEAD", key="doubt")
    begun = begin(hasty, "doubt", b"data")
    wait(begun)
    with pytest.raises(errors.StoreUncertainError):
        begun.settle()


def test_a_closed_bucket_begins_nothing(bucket: Bucket) -> None:
    wait(begin(bucket, "open", b""))
    bucket.close()
    with pytest.raises(errors.StoreError, match="closed"):
        bucket.begin_put("closed", b"", create=True)
