"""Fixtures of the servers of buckets: imported by the ``conftest.py`` of who needs them.

A server is begun once for all tests of a process. Each bucket has a name of its own.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.gcs_fake import GcsFake
from tests.harness.servers import AzuriteServer, MotoServer, SeaweedServer, Server
from volfs.buckets.access import Bucket
from volfs.buckets.address import BucketAddress
from volfs.buckets.opening import open_bucket
from volfs.buckets.options import BucketOptions

_numbers = itertools.count(1)
S3Server = SeaweedServer | MotoServer


def run_server(make: Callable[[Path], Server], places: pytest.TempPathFactory) -> Iterator[Server]:
    """A server in a folder of its own, which goes with it."""
    folder = places.mktemp("server")
    server = None
    try:
        server = make(folder)
        yield server
    finally:
        if server is not None:
            server.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from run_server(SeaweedServer, tmp_path_factory)


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from run_server(MotoServer, tmp_path_factory)


@pytest.fixture
def seaweed_bucket(seaweed: SeaweedServer) -> Iterator[Bucket]:
    yield from _lend(make_s3_bucket(seaweed))


@pytest.fixture
def moto_bucket(moto: MotoServer) -> Iterator[Bucket]:
    """Not for long: moto answers some wrong requests with 500, which volfs repeats."""
    yield from _lend(open_s3_bucket(moto, create_s3_bucket(moto), deadline=3.0))


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from run_server(AzuriteServer, tmp_path_factory)


@pytest.fixture(scope="session")
def gcs() -> Iterator[GcsFake]:
    fake = GcsFake()
    try:
        yield fake
    finally:
        fake.close()


@pytest.fixture
def azure_bucket(azurite: AzuriteServer) -> Iterator[Bucket]:
    address = BucketAddress(
        "az", f"bucket-{next(_numbers)}", account=azurite.account, endpoint=azurite.endpoint
    )
    secret = {"AZURE_STORAGE_ACCOUNT_KEY": azurite.key}
    yield from _lend(_create(address, secret))


@pytest.fixture
def gcs_bucket(gcs: GcsFake) -> Iterator[Bucket]:
    """By a service account."""
    address = BucketAddress("gs", f"bucket-{next(_numbers)}", endpoint=gcs.endpoint)
    secret = {"GOOGLE_APPLICATION_CREDENTIALS_JSON": gcs.make_account()}
    yield from _lend(_create(address, secret))


@pytest.fixture
def gcs_hmac_bucket(gcs: GcsFake) -> Iterator[Bucket]:
    """By a pair of HMAC keys, and a folder of the bucket only."""
    address = BucketAddress("gs", f"bucket-{next(_numbers)}", "a folder/", endpoint=gcs.endpoint)
    secret = {"GOOGLE_ACCESS_KEY_ID": gcs.access_key, "GOOGLE_ACCESS_KEY_SECRET": gcs.secret_key}
    yield from _lend(_create(address, secret))


def _create(address: BucketAddress, secret: dict[str, str]) -> Bucket:
    bucket = open_bucket(address, BucketOptions(secret=secret, environ={}))
    bucket.door.create_bucket(20.0)  # type: ignore[attr-defined]
    return bucket


def _lend(bucket: Bucket) -> Iterator[Bucket]:
    try:
        yield bucket
    finally:
        bucket.close()


def secret_of(server: S3Server) -> dict[str, str]:
    """What a Secret for this server has."""
    return {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}


def environment_of(server: S3Server) -> dict[str, str]:
    """What a program's environment has, so that a bucket's name alone leads to this server."""
    return secret_of(server) | {"AWS_ENDPOINT_URL": server.endpoint, "AWS_REGION": "us-east-1"}


def create_s3_bucket(server: S3Server) -> str:
    """A new bucket; its name."""
    name = f"bucket-{next(_numbers)}"
    bucket = open_s3_bucket(server, name)
    bucket.door.create_bucket(20.0)  # type: ignore[attr-defined]
    bucket.close()
    return name


def open_s3_bucket(
    server: S3Server, name: str, prefix: str = "", *, endpoint: str = "", deadline: float = 60.0
) -> Bucket:
    """A bucket of a server, by way of a proxy if ``endpoint`` is one."""
    where = endpoint or server.endpoint
    address = BucketAddress("s3", name, prefix, endpoint=where, region="us-east-1")
    options = BucketOptions(secret=secret_of(server), environ={}, deadline=deadline)
    return open_bucket(address, options)


def make_s3_bucket(server: S3Server, prefix: str = "", *, endpoint: str = "") -> Bucket:
    """A new bucket, opened."""
    return open_s3_bucket(server, create_s3_bucket(server), prefix, endpoint=endpoint)
