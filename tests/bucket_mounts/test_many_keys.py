"""A million keys in one directory, through the kernel: listed, looked at, and found."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.listing_server import listing
from volfs.daemon.mount_options import BucketPlan

MEMORY_MAX = 800
"""MiB of the daemon. While a directory is read, the kernel forgets names more slowly than it learns
them, so for some time there are more than the 100,000 that the daemon wants to keep."""

COUNTED_MAX = 100_000
"""The most names whose sizes ``du`` sums in a test: each takes a request of the kernel."""
SLOW_COUNTS = [pytest.param(count, marks=pytest.mark.slow) for count in (100_000, 1_000_000)]


@pytest.mark.fuse
@pytest.mark.parametrize("count", [30_000, *SLOW_COUNTS])
def test_many_keys_in_one_directory(mounts: BucketMounts, count: int) -> None:
    pages = -(-count // 1000)
    with listing(count) as server:
        plan = BucketPlan(f"s3://many?endpoint={server.endpoint}", environ={}, unsigned=True)
        mounted = mounts.mount(plan=plan, read_only=True)
        folder = mounted.path / "many"
        server.asked.clear()
        assert sum(1 for _ in os.scandir(folder)) == count
        assert len(server.asked) <= pages + 5  # The root is looked at again each second.
        for number in (0, 1, 999, 1000, count // 2, count - 1):
            found = (folder / f"{number:07}").stat()
            assert (found.st_size, found.st_mode) == (number, 0o100444)
        assert not (folder / f"{count:07}").exists()
        said = subprocess.check_output(["find", folder, "-type", "f"])
        assert said.count(b"\n") == count
        if count <= COUNTED_MAX:
            server.asked.clear()
            said = subprocess.check_output(["du", "-s", "--apparent-size", "-B1", folder])
            total = int(said.split()[0])
            assert count * (count - 1) // 2 <= total <= count * (count - 1) // 2 + (1 << 20)
            assert len(server.asked) <= 10 * pages  # Some once more, for they became too old.
        assert read_memory(mounted.status().pid) < MEMORY_MAX
        mounts.mounts.close()


def read_memory(pid: int) -> int:
    """MiB that a process has in memory now."""
    line = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in line
    )
    return int(line.split()[1]) >> 10
