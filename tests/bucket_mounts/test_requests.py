"""How many requests programs cost, counted on their way to the server."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.fault_proxy import FaultProxy, proxied

pytestmark = pytest.mark.fuse
TTL = 600.0
"""Seconds: longer than any test, so that no request depends on how quick the machine is."""


def mount_by(mounts: BucketMounts, proxy: FaultProxy) -> Path:
    plan = mounts.plan(endpoint=proxy.endpoint, metadata_ttl=TTL)
    path = mounts.mount(plan=plan).path
    proxy.clear()
    return path


def test_a_long_listing_is_a_request_for_each_thousand(mounts: BucketMounts) -> None:
    mounts.fill({f"many/{number:05}": b"x" for number in range(2500)})
    with proxied(mounts.server.endpoint) as proxy:
        path = mount_by(mounts, proxy)
        for _ in range(2):
            said = subprocess.check_output(["ls", "-l", path / "many"], text=True)
            assert len(said.splitlines()) == 2501
            # Of the directory, and one of the root to find it.
            assert (proxy.count("GET"), proxy.count()) == (4, 4)
        mounts.mounts.close()


def test_small_files_cost_a_request_each(mounts: BucketMounts) -> None:
    count = 300
    with proxied(mounts.server.endpoint) as proxy:
        path = mount_by(mounts, proxy)
        (path / "d").mkdir()
        proxy.clear()

        def write(number: int) -> None:
            (path / "d" / f"{number:03}").write_bytes(b"x" * 1024)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(write, range(count)))
        assert proxy.count("PUT") == count
        assert proxy.count() - count <= 2
        names = [entry.name for entry in (path / "d").iterdir() if entry.stat().st_size == 1024]
        assert len(names) == count
        assert proxy.count() - count <= 2
        mounts.mounts.close()
