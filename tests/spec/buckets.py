"""The buckets that the documents name, on servers of the tests, and secrets that lead there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.harness.bucket_servers import environment_of, gcs, seaweed
from tests.harness.gcs_fake import GcsFake
from tests.harness.servers import SeaweedServer
from volfs.buckets.access import Bucket
from volfs.buckets.address import BucketAddress
from volfs.buckets.opening import open_bucket
from volfs.buckets.options import BucketOptions
from volfs.errors import BucketNotFoundError

__all__ = ["gcs", "google", "s3", "seaweed"]


class Buckets:
    """Buckets of one server. A program that names only a bucket needs ``secret``."""

    def __init__(self, secret: dict[str, str], scheme: str) -> None:
        self.secret = secret
        self._scheme = scheme
        self._opened: dict[str, Bucket] = {}

    def open(self, name: str) -> Bucket:
        """Open the bucket of this name, and make it if it is not there."""
        if name not in self._opened:
            address = BucketAddress(self._scheme, name)
            bucket = open_bucket(address, BucketOptions(secret=self.secret, environ={}))
            self._opened[name] = bucket
            try:
                bucket.list_page("", limit=1)
            except BucketNotFoundError:
                bucket.door.create_bucket(20.0)  # type: ignore[attr-defined]
        return self._opened[name]

    def put(self, name: str, objects: Mapping[str, str]) -> None:
        for key, text in objects.items():
            self.open(name).put(key, text.encode())

    def read(self, name: str, key: str) -> str:
        return bytes(self.open(name).get(key)[1]).decode()

    def close(self) -> None:
        """Empty the buckets for the next test."""
        for bucket in self._opened.values():
            bucket.delete_many([one.key for one in bucket.list_page("", delimiter=False).objects])
            bucket.close()


@pytest.fixture
def s3(seaweed: SeaweedServer) -> Iterator[Buckets]:
    buckets = Buckets(environment_of(seaweed), "s3")
    yield buckets
    buckets.close()


@pytest.fixture
def google(gcs: GcsFake) -> Iterator[Buckets]:
    """Buckets that are opened by the JSON key of a service account, as in the documents."""
    account = {"GOOGLE_APPLICATION_CREDENTIALS_JSON": gcs.make_account()}
    buckets = Buckets(account | {"STORAGE_EMULATOR_HOST": gcs.endpoint}, "gs")
    yield buckets
    buckets.close()
