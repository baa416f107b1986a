"""The servers of buckets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.harness.bucket_servers import (
    azure_bucket,
    azurite,
    create_s3_bucket,
    gcs,
    gcs_bucket,
    gcs_hmac_bucket,
    moto,
    moto_bucket,
    open_s3_bucket,
    seaweed,
    seaweed_bucket,
)
from tests.harness.servers import SeaweedServer
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


_folders = itertools.count(1)


@pytest.fixture
def memory() -> Iterator[Bucket]:
    bucket = open_memory_bucket()
    yield bucket
    bucket.close()


@pytest.fixture(scope="session")
def bucket_name(seaweed: SeaweedServer) -> str:
    return create_s3_bucket(seaweed)


@pytest.fixture
def folder_of_seaweed(seaweed: SeaweedServer, bucket_name: str) -> Iterator[Bucket]:
    """An empty folder: a bucket for each test would take longer than the test."""
    bucket = open_s3_bucket(seaweed, bucket_name, f"folder-{next(_folders)}/")
    yield bucket
    bucket.close()
