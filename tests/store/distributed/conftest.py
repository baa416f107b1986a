"""The servers of buckets."""

from __future__ import annotations

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
