"""``volfs store create`` and ``volfs store probe``, on a real server."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.cli.conftest import Command
from tests.harness.bucket_servers import (
    create_s3_bucket,
    environment_of,
    open_s3_bucket,
    seaweed,
    secret_of,
)
from tests.harness.fault_proxy import Fault, proxied
from tests.harness.servers import SeaweedServer

__all__ = ["seaweed"]


def test_making_and_probing(volfs: Command, seaweed: SeaweedServer) -> None:
    bucket = create_s3_bucket(seaweed)
    keys = secret_of(seaweed)
    url = f"s3://{bucket}/a/store?endpoint={seaweed.endpoint}&region=us-east-1"
    said = volfs("store", "probe", url, "--json", **keys).json
    assert said["suitable"] is True
    assert said["store"] is None
    assert said["address"] == url
    assert {check["problem"] for check in said["checks"]} == {""}
    assert said["requests"] > 40
    made = volfs("store", "create", url, "--json", **keys).json
    assert made["store"].startswith("st-")
    assert made["service"] == "s3"
    again = volfs("store", "create", url, status=1, **keys).err
    assert f"there is a store already: {made['store']}" in again
    assert len(again.splitlines()) == 1
    lines = volfs("store", "probe", url, **keys).lines
    assert lines[-1] == f"the store {made['store']} is there"
    assert lines[0] == "yes  an object is created if it is absent"
    with closing(open_s3_bucket(seaweed, bucket)) as direct:
        keys_there = [info.key for info in direct.list_page("", delimiter=False).objects]
    assert keys_there == [f"a/store/gc/{0:016x}", "a/store/volfs.json"]
    assert (
        "other objects" in volfs("store", "create", url.replace("/store", ""), status=1, **keys).err
    )


def test_what_is_refused(volfs: Command, seaweed: SeaweedServer) -> None:
    """One line each, which says what would be right."""
    bucket = create_s3_bucket(seaweed)
    whole = f"s3://{bucket}?endpoint={seaweed.endpoint}&region=us-east-1"
    keys = secret_of(seaweed)
    hidden = volfs("store", "create", f"s3://{bucket}/x", status=2, **environment_of(seaweed)).err
    assert f"s3://{bucket}/x/?endpoint={seaweed.endpoint}" in hidden
    gone = whole.replace(bucket, "no-such-bucket")
    assert (
        "there is no such bucket; create it" in volfs("store", "create", gone, status=1, **keys).err
    )
    wrong = {**keys, "AWS_SECRET_ACCESS_KEY": "wrong"}
    assert "check the credentials" in volfs("store", "probe", whole, status=1, **wrong).err
    said = volfs("store", "probe", whole, status=2, VOLFS_STORE_CREDENTIALS="x").err
    assert "VOLFS_STORE_CREDENTIALS: use profile:NAME" in said
    assert "only buckets are probed" in volfs("store", "probe", "/tmp", status=2).err
    assert (
        "gopher:// is not known; use s3://" in volfs("store", "create", "gopher://x", status=2).err
    )
    none = volfs("list", "--store", whole, status=1, **keys).err
    made_by = f"`volfs store create '{whole.replace('?', '/?')}'`"
    assert f"there is no store; make one with {made_by}" in none
    assert "check the credentials" in volfs("create", "v", "--store", whole, status=1, **wrong).err
    assert (
        "no such bucket; create it" in volfs("create", "v", "--store", gone, status=1, **keys).err
    )
    assert "region='a b'" in volfs("list", VOLFS_STORE="s3://bucket?region=a b", status=2).err
    none = volfs("rebuild-index", "--store", whole, status=1, **keys).err
    assert f"there is no store; make one with {made_by}" in none


def test_a_service_that_knows_no_condition(volfs: Command, seaweed: SeaweedServer) -> None:
    """The probe says what to use instead, in its output and by its exit status."""
    bucket = create_s3_bucket(seaweed)
    with proxied(seaweed.endpoint) as proxy:
        url = f"s3://{bucket}?endpoint={proxy.endpoint}&region=us-east-1"
        proxy.add(Fault.STATUS, method="PUT", count=1, status=501, code="NotImplemented")
        done = volfs("store", "probe", url, "--json", status=1, **secret_of(seaweed))
        assert done.json["suitable"] is False
        assert [bool(check["problem"]) for check in done.json["checks"]] == [True]
        assert "only if it is absent" in done.err
        assert "; use Amazon S3, Google Cloud Storage (gs://)" in done.err
        proxy.clear()
        proxy.add(Fault.STATUS, method="PUT", count=1, status=501, code="NotImplemented")
        made = volfs("store", "create", url, status=1, **secret_of(seaweed))
        assert "; use Amazon S3" in made.err
    with closing(open_s3_bucket(seaweed, bucket)) as direct:
        assert direct.list_page("").objects == []


@pytest.mark.parametrize("how", ["{}", "file://{}"])
def test_a_directory(volfs: Command, how: str) -> None:
    place = volfs.directory / "made"
    url = how.format(place)
    assert volfs("store", "create", url, "--json").json["address"] == str(place)
    volfs("create", "v", "--store", str(place))
    assert "there is a store already" in volfs("store", "create", url, status=1).err
