"""Where the stores of tests are: in a directory, or with ``--store=bucket`` in a bucket.

A test that looks into the directory of its store is about such stores. It is skipped when it asks
for that directory while its store is in a bucket.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from tests.harness.bucket_servers import create_s3_bucket, secret_of
from tests.harness.servers import SeaweedServer

OPTION = "--store"
DIRECTORY, BUCKET = "directory", "bucket"
_numbers = itertools.count(1)


class BucketPlace(NamedTuple):
    """The address of a store that is not there yet, and what a process needs to reach it."""

    url: str
    environment: dict[str, str]


_places: dict[Path, BucketPlace] = {}


def add_store_option(parser: pytest.Parser) -> None:
    parser.addoption(
        OPTION, choices=(DIRECTORY, BUCKET), default=DIRECTORY, help="where the stores are"
    )


def choose_place(request: pytest.FixtureRequest, directory: Path) -> BucketPlace | None:
    """The place in a bucket that belongs to a directory, in which is what one machine has of the
    store; None if stores are directories."""
    if request.config.getoption(OPTION) == DIRECTORY:
        return None
    if directory not in _places:
        _places[directory] = _make_place(request, directory)
    return _places[directory]


def _make_place(request: pytest.FixtureRequest, directory: Path) -> BucketPlace:
    server = request.getfixturevalue("seaweed")
    assert isinstance(server, SeaweedServer)
    environment = secret_of(server) | {
        "VOLFS_STATE_DIR": str(directory / "state"),
        "VOLFS_CACHE_DIR": str(directory / "cache"),
    }
    prefix = f"{os.getpid()}-{next(_numbers)}"
    bucket = request.getfixturevalue("bucket_of_stores")
    url = f"s3://{bucket}/{prefix}/?endpoint={server.endpoint}&region=us-east-1"
    return BucketPlace(url, environment)


def skip_directory() -> NoReturn:
    pytest.skip("about a store in a directory")


@pytest.fixture(scope="session")
def bucket_of_stores(seaweed: SeaweedServer) -> str:
    """One bucket for all stores: each is a folder of it."""
    return create_s3_bucket(seaweed)
