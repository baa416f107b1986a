"""Whether a bucket can be a store: does the service do what the engine relies on?

The probe makes some objects in a folder of its own, deletes them, and says what it found. It sees
gross faults only: a condition that is refused or ignored, writes that are not seen at once. Nobody
can prove by requests that a service never errs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import NamedTuple

from volfs.buckets.access import Bucket
from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.errors import (
    ObjectNotFoundError,
    StoreError,
    StoreTimeoutError,
    StoreUnavailableError,
    UnfitBucketError,
    VolfsError,
)
from volfs.store.distributed.place.object_keys import PROBES, make_random_name

RACES, RACERS = 4, 8
ATTEMPTS = 5
SECONDS = 10.0
INSTEAD = (
    "use Amazon S3, Google Cloud Storage (gs://), Azure Blob Storage (az://), Cloudflare R2, or a "
    "server that knows conditional writes, such as MinIO, Ceph or SeaweedFS of today"
)

_REFUSED = (FailureKind.EXISTS, FailureKind.CHANGED)


class ProbeOutcome(Enum):
    """What a client was told of its creation of an object."""

    CREATED = "it was created"
    REFUSED = "an object is there"
    UNKNOWN = "no answer that tells"


class Finding(NamedTuple):
    """One thing that a store needs of its bucket. ``problem`` is empty if the bucket has it."""

    check: str
    problem: str


class ProbeReport(NamedTuple):
    findings: list[Finding]
    """In the order in which they were made. The probe ends with the first problem."""
    requests: int
    seconds: float

    @property
    def problem(self) -> str:
        """What makes the bucket unfit; empty if nothing does."""
        return next((finding.problem for finding in self.findings if finding.problem), "")


def probe_bucket(bucket: Bucket) -> ProbeReport:
    """Examine a bucket. StoreError if it cannot be reached, or the credentials do not suffice."""
    began = bucket.world.now()
    probe = _Probe(bucket)
    try:
        findings = list(probe.run())
    finally:
        probe.clean()
    return ProbeReport(findings, probe.requests, bucket.world.now() - began)


def check_fit(bucket: Bucket) -> None:
    """UnfitBucketError unless the bucket can be a store."""
    problem = probe_bucket(bucket).problem
    if problem:
        raise unfit(bucket, problem)


def check_canary(bucket: Bucket, key: str, data: bytes) -> None:
    """Create an object again that is there, with the same bytes. UnfitBucketError if the service
    lets that through: then it would let other lines be overwritten, too."""
    outcome = try_to_create(bucket, key, data)
    if outcome is ProbeOutcome.CREATED:
        raise unfit(bucket, f"{key} was created again, although it was there")


def unfit(bucket: Bucket, problem: str) -> UnfitBucketError:
    return UnfitBucketError(f"{bucket.door.describe()}: {problem}; {INSTEAD}")


def try_to_create(bucket: Bucket, key: str, data: bytes) -> ProbeOutcome:
    """Create an object, and try again while no answer tells. StoreError if none ever does."""
    for attempt in range(ATTEMPTS):
        try:
            bucket.create_once(key, data, SECONDS)
        except RequestFailure as failure:
            if failure.kind in _REFUSED:
                return ProbeOutcome.REFUSED
            if attempt == ATTEMPTS - 1 or not failure.row.again:
                raise bucket.to_error(failure, "PUT", key) from None
            bucket.wait(bucket.world.uniform(0.1, 1.0))
        else:
            return ProbeOutcome.CREATED
    raise AssertionError("the last attempt returns or raises")


class _Probe:
    """One examination."""

    def __init__(self, bucket: Bucket) -> None:
        self.requests = 0
        self._bucket = bucket
        self._folder = f"{PROBES}{make_random_name(bucket.world.random_bytes)}/"
        self._numbers = 0

    def run(self) -> Iterator[Finding]:
        """Make the checks one after the other, up to the first problem."""
        for name, check in self._list_checks():
            problem = check()
            yield Finding(name, problem)
            if problem:
                return

    def clean(self) -> None:
        """Delete what is left. An error here hides no finding."""
        with suppress(VolfsError):
            page = self._bucket.list_page(self._folder)
            self._bucket.delete_many([info.key for info in page.objects])

    def _list_checks(self) -> list[tuple[str, Callable[[], str]]]:
        return [
            ("an object is created if it is absent", self._check_condition),
            ("it is not created again", self._check_second),
            *(
                (
                    f"of {RACERS} creations at once, one wins (race {race} of {RACES})",
                    self._check_race,
                )
                for race in range(1, RACES + 1)
            ),
            ("what was written is read and listed at once", self._check_reads),
            ("what was deleted is gone at once, and can be created anew", self._check_deletion),
        ]

    # --- the checks: each returns its problem -----------------------------------------

    def _check_condition(self) -> str:
        key = self._new_key()
        try:
            outcome = self._create(key, b"first")
        except (StoreUnavailableError, StoreTimeoutError):
            raise
        except StoreError as error:
            self._put(key, b"first")  # Raises what is wrong beside the condition.
            return f"the service refuses to create an object only if it is absent ({error})"
        if outcome is ProbeOutcome.REFUSED and self._get(key) != b"first":
            return "the service refuses to create an object that is absent"
        return ""

    def _check_second(self) -> str:
        key = self._new_key()
        self._create(key, b"first")
        if self._create(key, b"second") is ProbeOutcome.CREATED:
            return "the service ignores the condition that an object is absent"
        return "" if self._get(key) == b"first" else "a refused write has changed the object"

    def _check_race(self) -> str:
        key = self._new_key()
        racers = [f"racer {number}".encode() for number in range(RACERS)]
        told = self._bucket.world.gather([partial(self._race, key, data) for data in racers])
        winners = [data for data, won in zip(racers, told, strict=True) if won]
        if len(winners) > 1:
            return (
                f"{len(winners)} of {RACERS} clients that created one object were told to have won"
            )
        there = self._find(key)
        if (there is not None or winners) and there not in (winners or racers):
            return "the object that several clients created is not that of the winner"
        return ""

    def _check_reads(self) -> str:
        key = self._new_key()
        self._put(key, b"0123456789")
        if self._find(key) != b"0123456789":
            return "an object that was written just now is not read"
        self.requests += 2
        if bytes(self._bucket.get_range(key, 3, 4)) != b"3456":
            return "a range of an object is not what lies there"
        if key not in self._list():
            return "an object that was written just now is not listed"
        return ""

    def _check_deletion(self) -> str:
        """A network may deliver a creation twice, so what is there again is deleted once more."""
        problem = ""
        for _ in range(2):
            key = self._new_key()
            self._create(key, b"first")
            self.requests += 1
            self._bucket.delete(key)
            problem = self._find_remains(key)
            if not problem:
                break
        return problem

    def _find_remains(self, key: str) -> str:
        if self._find(key) is not None or key in self._list():
            return "an object that was deleted just now is still there"
        self._create(key, b"second")
        if self._find(key) != b"second":
            return "an object cannot be created where one was deleted"
        return ""

    # --- requests -----------------------------------------------------------------------

    def _new_key(self) -> str:
        self._numbers += 1
        return f"{self._folder}{self._numbers}"

    def _race(self, key: str, data: bytes) -> bool:
        """Whether this racer was told that it has won. It tries once."""
        self.requests += 1
        try:
            self._bucket.create_once(key, data, SECONDS)
        except RequestFailure as failure:
            if failure.kind in _REFUSED or failure.row.again:
                return False
            raise self._bucket.to_error(failure, "PUT", key) from None
        return True

    def _create(self, key: str, data: bytes) -> ProbeOutcome:
        self.requests += 1
        return try_to_create(self._bucket, key, data)

    def _put(self, key: str, data: bytes) -> None:
        self.requests += 1
        self._bucket.put(key, data)

    def _get(self, key: str) -> bytes:
        self.requests += 1
        return bytes(self._bucket.get(key)[1])

    def _find(self, key: str) -> bytes | None:
        try:
            return self._get(key)
        except ObjectNotFoundError:
            return None

    def _list(self) -> list[str]:
        self.requests += 1
        return [info.key for info in self._bucket.list_page(self._folder).objects]
