"""The places of stores that outlive the processes of a test: in memory, or in a bucket.

In a bucket, packs and checkpoints are small, so that a short life has all kinds of objects.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.rig_sessions import MEMORY
from tests.harness.store_places import BucketPlace, choose_place

SMALL = {
    "volfs.store.distributed.data.bucket_sink.LINE_BYTES": 3000,
    "volfs.store.distributed.data.spool.FULL": 12_000,
    "volfs.store.distributed.data.bucket_upload.MANY": 2,
    "volfs.store.distributed.checkpoints.due_checkpoints.EVERY_LINES": 6,
    "volfs.store.distributed.checkpoints.due_checkpoints.EVERY_FEW": 3,
}


class LifePlace:
    """A directory, and the address of a store: in the directory, or in a bucket."""

    def __init__(self, directory: Path, bucket: BucketPlace | None) -> None:
        self.directory = directory
        self.is_bucket = bucket is not None
        self.address = bucket.url if bucket else str(directory / "store")

    def lose_machine(self) -> None:
        """Remove everything that this machine has of a store in a bucket."""
        assert self.is_bucket
        for path in self.directory.iterdir():
            shutil.rmtree(path)

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


NewPlace = Callable[[], LifePlace]


@pytest.fixture
def new_place(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NewPlace]:
    """Makes places. This process has the credentials and limits that the newest one needs."""
    made: list[LifePlace] = []

    def make() -> LifePlace:
        directory = Path(tempfile.mkdtemp(prefix="volfs-life-", dir=MEMORY))
        bucket = choose_place(request, directory)
        made.append(LifePlace(directory, bucket))
        for name, value in bucket.environment.items() if bucket else ():
            monkeypatch.setenv(name, value)
        for name, number in SMALL.items() if bucket else ():
            monkeypatch.setattr(name, number)
        return made[-1]

    yield make
    for place in made:
        place.remove()
