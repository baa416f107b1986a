"""Buckets behind a network that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.harness.bucket_servers import create_s3_bucket, open_s3_bucket
from tests.harness.fault_proxy import Fault, FaultProxy, proxied
from tests.harness.servers import SeaweedServer
from volfs.buckets.access import Bucket

DEADLINE = 3.0
PASSING = [
    (Fault.DROP, {}),
    (Fault.LOSE, {}),
    (Fault.RESET, {}),
    (Fault.CUT, {}),
    (Fault.TWICE, {}),
    (Fault.STATUS, {"status": 500}),
    (Fault.STATUS, {"status": 502, "code": ""}),
    (Fault.STATUS, {"status": 503, "code": "SlowDown"}),
    (Fault.STATUS, {"status": 429, "code": "TooManyRequests"}),
    (Fault.STATUS, {"status": 409, "code": "OperationAborted"}),
    (Fault.STATUS, {"status": 400, "code": "RequestTimeout"}),
]
"""Faults that pass, with their details: a request that meets one is sent again."""


@pytest.fixture(scope="module")
def proxy(seaweed: SeaweedServer) -> Iterator[FaultProxy]:
    with proxied(seaweed.endpoint, seed=7) as found:
        yield found


@pytest.fixture(scope="module")
def name(seaweed: SeaweedServer) -> str:
    return create_s3_bucket(seaweed)


@pytest.fixture
def bucket(seaweed: SeaweedServer, proxy: FaultProxy, name: str) -> Iterator[Bucket]:
    """A bucket whose requests go by way of the proxy."""
    proxy.clear()
    with closing(open_s3_bucket(seaweed, name, endpoint=proxy.endpoint)) as it:
        yield it
    proxy.clear()


@pytest.fixture
def hasty(seaweed: SeaweedServer, proxy: FaultProxy, name: str) -> Iterator[Bucket]:
    """The same, with a short deadline, for what is to fail."""
    proxy.clear()
    with closing(open_s3_bucket(seaweed, name, endpoint=proxy.endpoint, deadline=DEADLINE)) as it:
        yield it
    proxy.clear()


@pytest.fixture
def direct(seaweed: SeaweedServer, name: str) -> Iterator[Bucket]:
    with closing(open_s3_bucket(seaweed, name)) as it:
        yield it
