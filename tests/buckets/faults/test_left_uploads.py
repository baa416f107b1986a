"""What a mount left, on its way to a service with faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.fault_proxy import Fault, FaultProxy
from volfs import errors
from volfs.bucketfs.staged import Staged, create_staged
from volfs.bucketfs.uploads import IfReplaced
from volfs.buckets.access import Bucket
from volfs.daemon.buckets.leftovers import upload_one


def stage(path: Path, key: str) -> Staged:
    staged = create_staged(path / key, key, None)
    staged.write(0, key.encode())
    return staged


def test_a_fault_about_one_object_is_a_problem_of_one_file(
    hasty: Bucket, direct: Bucket, proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.add(Fault.STATUS, method="PUT", key="/left-a", status=500)
    said = [upload_one(hasty, stage(tmp_path, key), IfReplaced.LOG) for key in ("left-a", "left-b")]
    assert "left-a: " in said[0]
    assert "fault" in said[0]
    assert said[1] == ""
    assert bytes(direct.get("left-b")[1]) == b"left-b"


def test_a_bucket_that_is_away_ends_the_upload(
    hasty: Bucket, proxy: FaultProxy, tmp_path: Path
) -> None:
    hasty.put("seen", b"")
    proxy.add(Fault.RESET)
    with pytest.raises(errors.StoreUnavailableError):
        upload_one(hasty, stage(tmp_path, "away"), IfReplaced.LOG)
