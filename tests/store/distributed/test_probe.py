"""The probe: services that can be a store are let through, and each kind that cannot is told."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from volfs.buckets.access import Bucket
from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.doors.memory import MemoryDoor
from volfs.buckets.objects import ALWAYS, Condition, ObjectInfo, Page, TellNext
from volfs.errors import (
    AlreadyExistsError,
    NotAStoreError,
    StoreDeniedError,
    UnfitBucketError,
    UnsupportedFormatError,
)
from volfs.model.objects import Buffer
from volfs.store.distributed.creation import create_store, examine_store
from volfs.store.distributed.place.object_keys import FACTS, PROBES
from volfs.store.distributed.place.probe import probe_bucket
from volfs.store.distributed.place.store_facts import FORMAT, find_facts
from volfs.system.world import RealWorld

SERVERS = ["seaweed_bucket", "azure_bucket", "gcs_bucket", "gcs_hmac_bucket"]


@pytest.mark.parametrize("server", SERVERS)
def test_services_that_can_be_a_store(server: str, request: pytest.FixtureRequest) -> None:
    bucket: Bucket = request.getfixturevalue(server)
    report = probe_bucket(bucket)
    assert report.problem == ""
    assert len(report.findings) == 8
    assert 40 < report.requests < 60
    assert bucket.list_page(PROBES).objects == []
    facts = create_store(bucket, "s3://b")
    assert examine_store(bucket, "s3://b") == facts == find_facts(bucket, "s3://b")
    with pytest.raises(AlreadyExistsError, match=facts.store):
        create_store(bucket, "s3://b")


def test_a_service_that_looks_first_and_writes_then(moto_bucket: Bucket) -> None:
    """Moto does, so whether two of its racers win is chance. All else that a store needs it has."""
    problem = probe_bucket(moto_bucket).problem
    assert problem == "" or "clients that created one object" in problem


class IgnoresCondition(MemoryDoor):
    def put(
        self, key: str, data: Buffer, condition: Condition, mark: str, timeout: float
    ) -> ObjectInfo:
        return super().put(key, data, ALWAYS, mark, timeout)


class KnowsNoCondition(MemoryDoor):
    status, kind = 501, FailureKind.INVALID

    def put(
        self, key: str, data: Buffer, condition: Condition, mark: str, timeout: float
    ) -> ObjectInfo:
        if condition.create:
            raise RequestFailure(self.kind, "NotImplemented", status=self.status)
        return super().put(key, data, condition, mark, timeout)


class RefusesHeader(KnowsNoCondition):
    status, kind = 400, FailureKind.INVALID


class LetsSomeThrough(MemoryDoor):
    """Looks first and writes then, as a cache in front of several servers does."""

    def put(
        self, key: str, data: Buffer, condition: Condition, mark: str, timeout: float
    ) -> ObjectInfo:
        late = bytes(data) == b"racer 3"
        return super().put(key, data, ALWAYS if late else condition, mark, timeout)


class WritesAndRefuses(MemoryDoor):
    def put(
        self, key: str, data: Buffer, condition: Condition, mark: str, timeout: float
    ) -> ObjectInfo:
        try:
            return super().put(key, data, condition, mark, timeout)
        except RequestFailure:
            super().put(key, data, ALWAYS, mark, timeout)
            raise


class ListsLate(MemoryDoor):
    def list_page(
        self,
        prefix: str,
        delimiter: bool,
        after: str | None,
        limit: int,
        timeout: float,
        tell: TellNext | None = None,
        begin: str | None = None,
    ) -> Page:
        return Page([], [], None)


class DeletesLate(MemoryDoor):
    def delete(self, key: str, timeout: float) -> None:
        pass


class NeverAgain(MemoryDoor):
    """A deleted object cannot be created for some time."""

    def delete(self, key: str, timeout: float) -> None:
        super().delete(key, timeout)
        self.gone = key

    def put(
        self, key: str, data: Buffer, condition: Condition, mark: str, timeout: float
    ) -> ObjectInfo:
        if key == getattr(self, "gone", None):
            raise RequestFailure(FailureKind.EXISTS, status=412)
        return super().put(key, data, condition, mark, timeout)


class WrongRange(MemoryDoor):
    def get(
        self, key: str, span: tuple[int, int] | None, etag: str | None, timeout: float
    ) -> tuple[ObjectInfo, Buffer]:
        return super().get(key, None, etag, timeout)


UNFIT: list[tuple[type[MemoryDoor], str]] = [
    (IgnoresCondition, "ignores the condition"),
    (KnowsNoCondition, "refuses to create an object only if it is absent .*NotImplemented"),
    (RefusesHeader, "refuses to create an object only if it is absent"),
    (LetsSomeThrough, "2 of 8 clients"),
    (WritesAndRefuses, "a refused write has changed the object"),
    (ListsLate, "is not listed"),
    (DeletesLate, "deleted just now is still there"),
    (NeverAgain, "cannot be created where one was deleted"),
    (WrongRange, "a range of an object"),
]


class Hasty(RealWorld):
    """Waits for nothing."""

    def uniform(self, low: float, high: float) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("door", "problem"), UNFIT, ids=lambda value: getattr(value, "__name__", "")
)
def test_services_that_cannot_be_a_store(door: type[MemoryDoor], problem: str) -> None:
    """The error says what to use instead, and nothing is made."""
    bucket = Bucket(door("unfit"), world=Hasty())
    with pytest.raises(UnfitBucketError, match=f"memory://unfit: .*{problem}.*; use Amazon S3"):
        create_store(bucket, "s3://b")
    assert find_facts(bucket, "s3://b") is None


def test_who_may_not_write_is_told_that() -> None:
    class ReadOnly(MemoryDoor):
        def put(self, *_: object) -> ObjectInfo:
            raise RequestFailure(FailureKind.DENIED, status=403)

    with pytest.raises(StoreDeniedError, match="credentials may not do that"):
        create_store(Bucket(ReadOnly()), "s3://b")


def test_the_canary_sees_a_service_that_has_changed() -> None:
    """A service that forgets its condition later is found when the store is opened."""
    door = MemoryDoor()
    bucket = Bucket(door)
    facts = create_store(bucket, "s3://b")
    before = bucket.get(FACTS)[1]
    door.__class__ = IgnoresCondition
    with pytest.raises(UnfitBucketError, match=r"volfs\.json was created again"):
        examine_store(bucket, "s3://b")
    assert bucket.get(FACTS)[1] == before
    assert find_facts(bucket, "s3://b") == facts


def test_a_folder_with_other_objects_is_refused() -> None:
    door = MemoryDoor()
    Bucket(door).put("data/x", b"")
    with pytest.raises(NotAStoreError, match="other objects, such as data/; name an empty folder"):
        create_store(Bucket(door), "s3://b")
    with pytest.raises(NotAStoreError, match="such as x"):
        create_store(Bucket(door, "data/"), "s3://b/data/")
    create_store(Bucket(door, "empty/"), "s3://b/empty/")
    assert {info.key.partition("/")[0] for info in Bucket(door).list_page("").objects} <= {"data"}


def test_a_store_that_was_half_made_is_made() -> None:
    bucket = Bucket(MemoryDoor())
    create_store(bucket, "s3://b")
    bucket.delete(FACTS)
    bucket.put(f"{PROBES}left/1", b"")
    with pytest.raises(NotAStoreError, match="volfs store create"):
        examine_store(bucket, "s3://b")
    create_store(bucket, "s3://b")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda data: data.replace(b'"format": 1', b'"format": 2'), UnsupportedFormatError),
        (lambda data: data.replace(b"[]", b'["sealed"]'), UnsupportedFormatError),
        (lambda data: data[:20], NotAStoreError),
        (lambda data: b"\xff\xfe", NotAStoreError),
        (lambda data: b"[" * 100_000, NotAStoreError),
        (lambda data: data.replace(b'"format": 1', b'"format": 1, "later": true'), None),
    ],
)
def test_facts_that_others_have_written(
    change: Callable[[bytes], bytes], error: type[Exception] | None
) -> None:
    bucket = Bucket(MemoryDoor())
    facts = create_store(bucket, "s3://b")
    assert facts.format == FORMAT
    data = bytes(bucket.get(FACTS)[1])
    changed = change(data)
    assert changed != data
    bucket.put(FACTS, changed)
    if error is None:
        assert examine_store(bucket, "s3://b") == facts
        return
    with pytest.raises(error, match="s3://b"):
        examine_store(bucket, "s3://b")
    with pytest.raises(error, match="s3://b"):
        create_store(bucket, "s3://b")


def test_ids_differ() -> None:
    made = [create_store(Bucket(MemoryDoor()), "s3://b").store for _ in range(3)]
    assert all(a != b for a, b in itertools.combinations(made, 2))
