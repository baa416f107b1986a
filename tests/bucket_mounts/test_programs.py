"""Programs that keep data in files, on a bucket's mount."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.bucket_servers import create_s3_bucket, open_s3_bucket
from tests.harness.servers import MotoServer
from volfs.buckets.access import Bucket
from volfs.daemon.mount_options import BucketPlan

pytestmark = pytest.mark.fuse
ROLE = "arn:aws:iam::123456789012:role/reader"


def test_data_sets(mounts: BucketMounts) -> None:
    """pandas and pyarrow write files and partitioned data sets, add to them, and find the same
    rows in them, also by another mount."""
    pandas = pytest.importorskip("pandas")
    dataset = pytest.importorskip("pyarrow.dataset")
    path = mounts.mount().path
    rows = pandas.DataFrame(
        {"day": ["mon", "tue", "wed"] * 1000, "n": range(3000), "s": ["x" * 9, "é", ""] * 1000}
    )
    rows.to_parquet(path / "days", partition_cols=["day"])
    rows.head(10).assign(day="thu").to_parquet(path / "days", partition_cols=["day"])
    rows.to_csv(path / "rows.csv", index=False)
    rows.head(5).to_csv(path / "rows.csv", index=False, header=False, mode="a")
    rows.to_parquet(path / "one.parquet", row_group_size=100)
    rows.to_feather(path / "one.feather")
    other = mounts.mount(read_only=True).path
    found = dataset.dataset(other / "days", partitioning="hive")
    assert found.count_rows() == 3010
    assert found.to_table(filter=dataset.field("day") == "tue")["n"].to_pylist() == list(
        range(1, 3000, 3)
    )
    assert len(pandas.read_csv(other / "rows.csv")) == 3005
    assert pandas.read_parquet(other / "one.parquet", columns=["n"])["n"].sum() == 4498500
    mapped = pandas.read_feather(other / "one.feather")
    assert mapped.equals(rows)
    assert mounts.bucket.list_leftovers() == []


def test_tools(mounts: BucketMounts, tmp_path: Path) -> None:
    """find, du, tar, dd, sort, git and editors' way of saving, in a mount that can be written."""
    path = mounts.mount().path
    data = hashlib.shake_256(b"tools").digest(3 << 20)
    run = subprocess.run
    (path / "src/deep").mkdir(parents=True)
    (path / "src/deep/data").write_bytes(data)
    lines = "two\nlines\r\t\x01"
    (path / "src" / lines).write_bytes(b"a name of two lines")
    assert mounts.bucket.get(f"src/{lines}")[1] == b"a name of two lines"
    (path / "src/lines").write_text("".join(f"{n:05}\n" for n in range(5000, 0, -1)))
    run(["sort", "-o", path / "src/lines", path / "src/lines"], check=True)
    assert (path / "src/lines").read_text().startswith("00001\n00002\n")
    run(["sed", "-i", "s/^00001$/first/", path / "src/lines"], check=True)  # writes, then renames
    assert mounts.bucket.get("src/lines")[1][:6] == b"first\n"
    patch = ["dd", f"of={path}/src/deep/data", "bs=1", "seek=1000000", "conv=notrunc,fsync"]
    run(patch, input=b"patched", check=True, capture_output=True)
    changed = data[:1000000] + b"patched" + data[1000007:]
    assert bytes(mounts.bucket.get("src/deep/data")[1]) == changed
    size = run(["du", "-sb", "--apparent-size", path / "src"], capture_output=True, check=True)
    expected = len(data) + len(b"a name of two lines") + (path / "src/lines").stat().st_size
    assert int(size.stdout.split()[0]) - expected in range(4096 * 3)
    found = run(["find", path, "-type", "f", "-size", "+2M"], capture_output=True, check=True)
    assert found.stdout.split() == [os.fsencode(path / "src/deep/data")]
    run(["tar", "czf", path / "all.tgz", "-C", path, "src"], check=True)
    run(["tar", "xzf", path / "all.tgz", "-C", tmp_path], check=True)
    assert (tmp_path / "src/deep/data").read_bytes() == changed
    run(["cp", "-r", "--sparse=always", path / "src", path / "copy"], check=True)
    run(["diff", "-r", path / "src", path / "copy"], check=True)
    run(
        [
            "rsync",
            "-a",
            "--inplace",
            "--no-perms",
            "--no-owner",
            "--no-group",
            "--append-verify",
            f"{path}/src/",
            f"{tmp_path}/back/",
        ],
        check=True,
    )
    run(["diff", "-r", path / "src", tmp_path / "back"], check=True)


def test_a_role_by_web_identity(mounts: BucketMounts, moto: MotoServer, tmp_path: Path) -> None:
    """moto's STS gives the keys for a token. A token that is gone is said, and no secret is."""
    token = tmp_path / "token"
    token.write_text("a.hushed.token\n")
    name = create_s3_bucket(moto)
    environ = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_ENDPOINT_URL": moto.endpoint,
        "AWS_REGION": "us-east-1",
        "HOME": str(tmp_path),
    }
    plan = BucketPlan(f"s3://{name}", role_arn=ROLE, environ=environ)
    path = mounts.mount(plan=plan).path
    (path / "f").write_bytes(b"by a role")
    bucket: Bucket = open_s3_bucket(moto, name)
    assert bucket.get("f")[1] == b"by a role"
    bucket.close()
    token.unlink()
    place = mounts.mounts.place()
    done = mounts.run("bucket", "mount", f"s3://{name}", place, "--role-arn", ROLE, environ=environ)
    assert done.returncode == 1
    assert f"{token}: the token cannot be read" in done.stderr
    assert "hushed" not in done.stderr
