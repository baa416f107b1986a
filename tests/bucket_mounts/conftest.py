"""Buckets of a server on loopback, mounted by daemons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.bucket_servers import moto, seaweed
from tests.harness.servers import MotoServer, SeaweedServer

__all__ = ["moto", "mounts", "seaweed"]


@pytest.fixture
def mounts(
    seaweed: SeaweedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BucketMounts]:
    yield from _lend(BucketMounts(tmp_path, seaweed), monkeypatch)


@pytest.fixture
def any_keys(
    moto: MotoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BucketMounts]:
    """Of a server that keeps keys which are no paths; SeaweedFS has none."""
    yield from _lend(BucketMounts(tmp_path, moto), monkeypatch)


def _lend(found: BucketMounts, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketMounts]:
    for name in ("VOLFS_RUNTIME_DIR", "VOLFS_STATE_DIR", "VOLFS_CACHE_DIR"):
        monkeypatch.setenv(name, found.mounts.environment[name])
    try:
        yield found
    finally:
        found.close()
