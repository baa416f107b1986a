"""From an address to a bucket.

What speaks HTTP and finds credentials is an extra of the package, and is imported when the first
bucket is opened.
"""

from __future__ import annotations

import importlib.util

from volfs.buckets.access import Bucket
from volfs.buckets.address import BucketAddress, parse_bucket_address
from volfs.buckets.options import BucketOptions
from volfs.errors import InvalidError

_NEEDED = ("urllib3", "httptools", "botocore", "google.auth")


def open_bucket(address: BucketAddress | str, options: BucketOptions | None = None) -> Bucket:
    """Open a bucket. No request is sent to it yet, so errors of the bucket come with the first
    request; a source of credentials may be asked.

    InvalidError for an address or a profile that cannot be valid, or if the extra is missing.
    """
    check_installed()
    from volfs.buckets.doors.doors import open_door

    if isinstance(address, str):
        address = parse_bucket_address(address)
    options = options or BucketOptions()
    return Bucket(open_door(address, options), address.prefix, options.deadline)


def find_hidden_endpoint(address: BucketAddress, options: BucketOptions) -> str | None:
    """The endpoint that the environment or a profile names for an address that names none. None if
    requests go where the address alone leads."""
    check_installed()
    from volfs.buckets.doors.doors import find_said_endpoint

    return None if address.endpoint else find_said_endpoint(address, options)


def check_installed() -> None:
    """InvalidError that says what to install, if anything is missing that buckets need."""
    for name in _NEEDED:
        if not _is_installed(name):
            raise InvalidError(f"buckets: {name} is not installed: pip install 'volfs[buckets]'")


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
