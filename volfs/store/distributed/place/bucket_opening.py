"""From the address of a store to its bucket, with the credentials that the environment has."""

from __future__ import annotations

import math
import os
from dataclasses import replace

from volfs.buckets.access import Bucket
from volfs.buckets.address import parse_bucket_address
from volfs.buckets.calls import DEADLINE
from volfs.buckets.opening import find_hidden_endpoint, open_bucket
from volfs.errors import InvalidError
from volfs.store.distributed.place.store_credentials import find_credentials

TIMEOUT = "VOLFS_STORE_TIMEOUT"
LONGEST = 3600.0


def open_store_bucket(url: str) -> Bucket:
    """Open the bucket of a store. No request is sent yet.

    Two machines with one address must reach one store. So the address says where the service is,
    and an endpoint from anywhere else is an InvalidError. So is a folder with ``.`` or ``..``: on
    the way, a request for one object loses them, and a listing does not.
    """
    address = parse_bucket_address(url)
    if not {".", ".."}.isdisjoint(address.prefix.split("/")):
        raise InvalidError(f"{address.name}: the folder of a store has no part '.' or '..'")
    options = replace(find_credentials(), deadline=find_deadline())
    hidden = find_hidden_endpoint(address, options)
    if hidden is not None:
        right = address._replace(endpoint=hidden).text
        raise InvalidError(
            f"{address.name}: the environment, the profile or the credentials say where the "
            f"service is; the address of a store says that itself: {right}"
        )
    return open_bucket(address, options)


def find_deadline() -> float:
    """How many seconds a call to a store may take. InvalidError."""
    said = os.environ.get(TIMEOUT)
    if not said:
        return DEADLINE
    try:
        seconds = float(said)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= LONGEST:
        raise InvalidError(f"{TIMEOUT}: use a number of seconds from 1 to {LONGEST:.0f}")
    return seconds
