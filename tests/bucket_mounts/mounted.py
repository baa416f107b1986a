"""A new bucket of a server, and what a test mounts of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.harness.bucket_servers import (
    S3Server,
    create_s3_bucket,
    environment_of,
    open_s3_bucket,
    secret_of,
)
from tests.harness.mounted import ROOT, Mounted, Mounts
from tests.harness.waits import drop_waits
from volfs.buckets.access import Bucket
from volfs.daemon.mount_options import BucketPlan


class BucketMounts:
    """``bucket`` is what others see and change; ``mounts`` ends what is mounted."""

    def __init__(self, directory: Path, server: S3Server) -> None:
        self.server = server
        self.name = create_s3_bucket(server)
        self.bucket: Bucket = open_s3_bucket(server, self.name)
        self.mounts = Mounts(directory)
        self.state = directory / "state"
        self.mounts.environment |= {
            "VOLFS_STATE_DIR": str(self.state),
            "VOLFS_CACHE_DIR": str(directory / "cache"),
            "VOLFS_STORE": str(self.mounts.store_path),
            **environment_of(server),
        }

    def fill(self, objects: Mapping[str, bytes]) -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self.bucket.put, objects.keys(), objects.values()))

    def plan(self, prefix: str = "", *, endpoint: str = "", **options: Any) -> BucketPlan:
        where = endpoint or self.server.endpoint
        address = f"s3://{self.name}/{prefix}?endpoint={where}&region=us-east-1"
        return BucketPlan(address, **{"secret": secret_of(self.server), "environ": {}, **options})

    def mount(self, prefix: str = "", *, plan: BucketPlan | None = None, **options: Any) -> Mounted:
        plan = self.plan(prefix) if plan is None else plan
        return self.mounts.mount(store="", volume="", bucket=plan, **options)

    def volfs(self, *arguments: object, check: bool = True) -> str:
        """What the command line prints; what it says on the other stream if it fails."""
        done = self.run(*arguments)
        assert (done.returncode == 0) == check, (done.stdout, done.stderr)
        return done.stdout if check else drop_waits(done.stderr)

    def run(
        self, *arguments: object, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What becomes of a command of the command line."""
        return subprocess.run(
            [sys.executable, "-m", "volfs", *map(str, arguments)],
            env=self.mounts.environment | dict(environ or {}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def close(self) -> None:
        self.mounts.close()
        self.bucket.close()
