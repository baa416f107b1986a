"""Every ``python`` block of the README and of the documents on the API runs, one after the other.

The blocks of a document share their names, a store, the local files named in them, and a
server on loopback with the bucket that they name.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.bucket_servers import environment_of, open_s3_bucket, seaweed
from tests.harness.servers import SeaweedServer
from volfs.buckets.access import Bucket
from volfs.errors import BucketNotFoundError, ObjectNotFoundError

__all__ = ["seaweed"]

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTS = ["README.md", "docs/python-api.md", "docs/migrating-from-modal.md"]


@pytest.mark.fuse
@pytest.mark.parametrize("name", DOCUMENTS)
def test_blocks_run(name: str, tmp_path: Path, seaweed: SeaweedServer) -> None:
    blocks = BLOCK.findall((ROOT / name).read_text())
    assert blocks
    (tmp_path / "local.txt").write_text("local")
    (tmp_path / "local_dir").mkdir()
    (tmp_path / "local_dir" / "a").write_text("a")
    reports = make_reports(seaweed)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "VOLFS_STORE": str(tmp_path / "store"),
            "VOLFS_RUNTIME_DIR": str(tmp_path / "run"),
            "VOLFS_STATE_DIR": str(tmp_path / "state"),
            "VOLFS_CACHE_DIR": str(tmp_path / "cache"),
            **environment_of(seaweed),
            "VOLFS_RUN_COMMANDS": "machine",  # one changes a volume, and the tests may be root's
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if "reports" in "".join(blocks):
        assert reports.get("in/monday.txt.done")[1] == b"kept"
    reports.close()


def make_reports(server: SeaweedServer) -> Bucket:
    """A bucket with the report of a day."""
    bucket = open_s3_bucket(server, "reports")
    try:
        bucket.head("in/monday.txt")
    except BucketNotFoundError:
        bucket.door.create_bucket(20.0)  # type: ignore[attr-defined]
    except ObjectNotFoundError:
        pass
    bucket.put("in/monday.txt", b"sunny")
    return bucket
