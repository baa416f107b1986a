"""The buckets that the contract is tried on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.bucket_servers import moto, moto_bucket, seaweed, seaweed_bucket
from volfs.buckets.access import Bucket, open_memory_bucket

__all__ = ["moto", "moto_bucket", "seaweed", "seaweed_bucket"]


@pytest.fixture
def memory() -> Iterator[Bucket]:
    bucket = open_memory_bucket()
    yield bucket
    bucket.close()


@pytest.fixture(params=["memory", "seaweed_bucket", "moto_bucket"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """An empty folder of a bucket of each kind of service."""
    found: Bucket = request.getfixturevalue(request.param)
    return found
