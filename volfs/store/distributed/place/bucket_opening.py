"""From the address of a store to its bucket, with the credentials that the environment has."""

from __future__ import annotations

import os

from volfs.buckets.access import Bucket
from volfs.buckets.address import parse_bucket_address
from volfs.buckets.opening import find_hidden_endpoint, open_bucket
from volfs.buckets.options import BucketOptions
from volfs.errors import InvalidError

CREDENTIALS = "VOLFS_STORE_CREDENTIALS"
_PROFILE = "profile:"


def open_store_bucket(url: str) -> Bucket:
    """Open the bucket of a store. No request is sent yet.

    Two machines with one address must reach one store. So the address says where the service is,
    and an endpoint from anywhere else is an InvalidError.
    """
    address = parse_bucket_address(url)
    options = BucketOptions(profile=_find_profile())
    hidden = find_hidden_endpoint(address, options)
    if hidden is not None:
        right = address._replace(endpoint=hidden).text
        raise InvalidError(
            f"{address.name}: the environment or the profile says where the service is; the "
            f"address of a store says that itself: {right}"
        )
    return open_bucket(address, options)


def _find_profile() -> str | None:
    """The profile that ``VOLFS_STORE_CREDENTIALS`` names. InvalidError for any other value."""
    said = os.environ.get(CREDENTIALS)
    if not said:
        return None
    if not said.startswith(_PROFILE) or said == _PROFILE:
        raise InvalidError(f"{CREDENTIALS}: use {_PROFILE}NAME, a profile in AWS's files")
    return said.removeprefix(_PROFILE)
