"""The buckets that the contract is tried on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.buckets.credential_service import CredentialService
from tests.harness.bucket_servers import (
    azure_bucket,
    azurite,
    gcs,
    gcs_bucket,
    gcs_hmac_bucket,
    moto,
    moto_bucket,
    seaweed,
    seaweed_bucket,
)
from volfs.buckets.access import Bucket, open_memory_bucket

__all__ = [
    "azure_bucket",
    "azurite",
    "gcs",
    "gcs_bucket",
    "gcs_hmac_bucket",
    "moto",
    "moto_bucket",
    "seaweed",
    "seaweed_bucket",
]
KINDS = [
    "memory",
    "seaweed_bucket",
    "moto_bucket",
    "azure_bucket",
    "gcs_bucket",
    "gcs_hmac_bucket",
]


@pytest.fixture
def memory() -> Iterator[Bucket]:
    bucket = open_memory_bucket()
    yield bucket
    bucket.close()


@pytest.fixture(params=KINDS)
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """An empty folder of a bucket of each kind of service."""
    found: Bucket = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def service() -> Iterator[CredentialService]:
    found = CredentialService()
    yield found
    found.close()
