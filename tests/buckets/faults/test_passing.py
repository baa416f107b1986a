"""What passes is repeated: what was acknowledged is there, and nothing is wrong."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing

import pytest

from tests.buckets.faults.conftest import PASSING
from tests.harness.bucket_servers import open_s3_bucket
from tests.harness.fault_proxy import Fault, FaultProxy
from tests.harness.servers import SeaweedServer
from volfs import errors
from volfs.buckets.access import Bucket, iter_objects

MIB = 1024 * 1024


# --- what is repeated -----------------------------------------------------------


@pytest.mark.parametrize(("fault", "details"), PASSING, ids=str)
def test_what_passes_is_repeated(
    bucket: Bucket, proxy: FaultProxy, fault: Fault, details: dict[str, object]
) -> None:
    data = os.urandom(50_000)
    passing = f"passing {fault.name} {details.get('code')} {details.get('status')}"
    proxy.add(fault, method="PUT", count=2, **details)
    proxy.add(fault, method="GET", key="passing", count=2, **details)
    proxy.add(fault, method="HEAD", count=1, **details)
    proxy.add(fault, method="DELETE", count=1, **details)
    proxy.add(fault, method="GET", key="list-type", count=1, **details)
    bucket.put(passing, data)
    assert bytes(bucket.get_range(passing, 1000, 40_000)) == data[1000:41_000]
    assert bytes(bucket.get(passing)[1]) == data
    assert bucket.head(passing).size == 50_000
    assert [info.key for info in iter_objects(bucket, passing)] == [passing]
    bucket.delete(passing)
    assert list(iter_objects(bucket, passing)) == []


def test_a_late_error_in_a_good_answer(bucket: Bucket, proxy: FaultProxy) -> None:
    bucket.put("early", b"data")
    proxy.add(Fault.STATUS, method="PUT", key="copied", count=1, status=200)
    bucket.copy("early", "copied")
    assert bytes(bucket.get("copied")[1]) == b"data"
    with bucket.open_multipart("joined") as upload:
        upload.put_part(1, b"part")
        proxy.add(Fault.STATUS, method="POST", key="uploadId", count=1, status=200)
        upload.complete()
    assert bytes(bucket.get("joined")[1]) == b"part"


def test_bytes_that_change_on_their_way_in(bucket: Bucket, proxy: FaultProxy) -> None:
    data = os.urandom(10_000)
    proxy.add(Fault.FLIP_SENT, method="PUT", count=2)
    bucket.put("flipped", data)
    assert bytes(bucket.get("flipped")[1]) == data


def test_bytes_that_change_on_their_way_out(bucket: Bucket, proxy: FaultProxy) -> None:
    data = os.urandom(10_000)
    bucket.put("flipped", data)
    proxy.add(Fault.FLIP, method="GET", count=2)
    assert bytes(bucket.get("flipped")[1]) == data


# --- what an unclear answer leaves ------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.TWICE, Fault.RESET], ids=str)
def test_a_creation_whose_answer_is_lost(bucket: Bucket, proxy: FaultProxy, fault: Fault) -> None:
    key = f"created {fault.name}"
    proxy.add(fault, method="PUT", count=2)
    bucket.put(key, b"mine", create=True)
    assert bytes(bucket.get(key)[1]) == b"mine"
    proxy.add(fault, method="PUT", count=2)
    with pytest.raises(errors.ObjectExistsError):
        bucket.put(key, b"mine", create=True)


def test_a_creation_that_nobody_can_look_at_for_a_while(bucket: Bucket, proxy: FaultProxy) -> None:
    proxy.add(Fault.LOSE, method="PUT", count=1)
    proxy.add(Fault.STATUS, method="HEAD", count=3, status=500)
    bucket.put("seen late", b"mine", create=True)
    proxy.add(Fault.TWICE, method="PUT", count=1)
    proxy.add(Fault.DROP, method="HEAD", count=3)
    bucket.put("twice, seen late", b"mine", create=True)
    proxy.add(Fault.LOSE, method="PUT", count=1)
    proxy.add(Fault.STATUS, method="HEAD|GET", status=403, code="AccessDenied")
    with pytest.raises(errors.StoreUncertainError):
        bucket.put("never seen", b"mine", create=True)
    proxy.add(Fault.DROP, method="PUT", count=1)
    bucket.put("never seen, but sent", b"mine", create=True)


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.TWICE], ids=str)
def test_a_replacement_whose_answer_is_lost(
    bucket: Bucket, proxy: FaultProxy, fault: Fault
) -> None:
    first = bucket.put("replaced", b"first")
    proxy.add(fault, method="PUT", count=2)
    second = bucket.put("replaced", b"second", etag=first.etag)
    assert second.etag == bucket.head("replaced").etag
    proxy.add(fault, method="PUT", count=2)
    with pytest.raises(errors.ObjectChangedError):
        bucket.put("replaced", b"third", etag=first.etag)
    assert bytes(bucket.get("replaced")[1]) == b"second"


def test_a_completion_whose_answer_is_lost(bucket: Bucket, proxy: FaultProxy) -> None:
    with bucket.open_multipart("completed") as upload:
        upload.put_part(1, b"x" * 5 * MIB)
        upload.put_part(2, b"end")
        proxy.add(Fault.LOSE, method="POST", key="uploadId", count=2)
        info = upload.complete()
    assert info.size == 5 * MIB + 3
    assert bucket.list_leftovers() == []


def test_what_nobody_can_know(hasty: Bucket, proxy: FaultProxy, direct: Bucket) -> None:
    proxy.add(Fault.LOSE, method="PUT")
    proxy.add(Fault.DROP, method="HEAD")
    with pytest.raises(errors.StoreUncertainError, match="not known whether"):
        hasty.put("uncertain", b"x", create=True)
    assert bytes(direct.get("uncertain")[1]) == b"x"


def test_one_winner_through_a_bad_network(bucket: Bucket, proxy: FaultProxy) -> None:
    """Six who create one key, four times, with half of all answers lost."""
    for key in ("w1", "w2", "w3", "w4"):
        proxy.add(Fault.LOSE, method="PUT", key=key, chance=0.5)
        won: list[int] = []

        def create(number: int, key: str = key, won: list[int] = won) -> None:
            try:
                bucket.put(key, str(number).encode(), create=True)
                won.append(number)
            except errors.ObjectExistsError:
                pass

        threads = [threading.Thread(target=create, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [str(number).encode() for number in won] == [bytes(bucket.get(key)[1])]


# --- load and outage --------------------------------------------------------------


def test_a_service_that_is_away_is_not_waited_for_by_everyone(
    seaweed: SeaweedServer, proxy: FaultProxy, name: str, direct: Bucket
) -> None:
    proxy.clear()
    direct.put("away", b"x")
    with closing(open_s3_bucket(seaweed, name, endpoint=proxy.endpoint, deadline=2.0)) as bucket:
        assert bucket.unreachable_since_ns is None
        rule = proxy.add(Fault.STATUS, status=503, code="SlowDown")
        for _ in range(3):
            with pytest.raises(errors.StoreUnavailableError):
                bucket.get("away")
        asked = proxy.count()
        with pytest.raises(errors.StoreUnavailableError, match="for some time"):
            bucket.get("away")
        assert proxy.count() == asked
        since = bucket.unreachable_since_ns
        assert since is not None
        assert time.time_ns() - since < 60 * 10**9
        rule.count = 0
        _wait_until_back(bucket)
        assert bucket.unreachable_since_ns is None


def _wait_until_back(bucket: Bucket) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            assert bytes(bucket.get("away")[1]) == b"x"
        except errors.StoreUnavailableError:
            threading.Event().wait(0.2)
        else:
            return
    raise AssertionError("the bucket does not come back")


def test_a_minute_of_bad_luck_in_small(bucket: Bucket, proxy: FaultProxy, direct: Bucket) -> None:
    """Of 200 writes and reads at once, through every fault at random, all are exact."""
    for fault in (Fault.DROP, Fault.LOSE, Fault.RESET, Fault.CUT, Fault.TWICE, Fault.FLIP_SENT):
        proxy.add(fault, chance=0.03)
    proxy.add(Fault.STATUS, chance=0.05, status=503, code="SlowDown")
    proxy.add(Fault.STATUS, chance=0.03, status=500)
    wrong: list[str] = []

    def work(worker: int) -> None:
        for number in range(25):
            key, data = f"luck/{worker}/{number}", os.urandom(3000)
            bucket.put(key, data, create=number % 2 == 0)
            if bytes(bucket.get_range(key, 100, 2000)) != data[100:2100]:
                wrong.append(key)
            if bytes(direct.get(key)[1]) != data:
                wrong.append(f"stored {key}")

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(list(iter_objects(direct, "luck/"))) == 200
