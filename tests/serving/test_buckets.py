"""A bucket behind the pages of ``volfs serve``."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.harness.bucket_servers import (
    create_s3_bucket,
    environment_of,
    open_s3_bucket,
    seaweed,
)
from tests.harness.servers import SeaweedServer
from tests.serving.conftest import Serving

__all__ = ["seaweed"]

PROGRAM = """
import os
import volfs as modal

app = modal.App("pages")
bucket = modal.CloudBucketMount(os.environ["PAGES"])


@app.function(volumes={"/pages": bucket})
@modal.fastapi_endpoint()
def add(name: str):
    with open(f"/pages/{name}", "x") as page:
        page.write(f"of {name}")
    return sorted(os.listdir("/pages"))
"""


@pytest.mark.fuse
def test_a_page_is_in_the_bucket_when_it_is_answered(
    start: Callable[..., Serving], tmp_path: Path, seaweed: SeaweedServer
) -> None:
    """The keys are those of the environment of ``volfs serve``; no log has them."""
    name = create_s3_bucket(seaweed)
    bucket = open_s3_bucket(seaweed, name)
    bucket.put("first", b"1")
    (tmp_path / "program.py").write_text(PROGRAM)
    variables = {"PAGES": name, "VOLFS_CACHE_DIR": str(tmp_path / "cache")}
    serving = start(str(tmp_path / "program.py"), **environment_of(seaweed), **variables)
    url = serving.wait_for("add")["add"]
    assert httpx.get(url, params={"name": "new"}, timeout=60).json() == ["first", "new"]
    assert bucket.get("new")[1] == b"of new"
    assert httpx.get(url, params={"name": "new"}, timeout=60).status_code == 500  # it is there
    assert serving.end(signal.SIGINT) == 0
    bucket.close()
    said = serving.log.read_text() + serving.out.read_text()
    assert "FileExistsError" in said
    logs = (tmp_path / "state" / "logs").glob("*.log")
    assert not re.search(seaweed.secret_key, said + "".join(path.read_text() for path in logs))
