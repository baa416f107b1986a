"""Volumes whose store is a bucket, by the command line, from two machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from socket import gethostname

import pytest

from tests.cli.conftest import Command
from tests.harness.bucket_servers import create_s3_bucket, seaweed, secret_of
from tests.harness.servers import SeaweedServer
from volfs.control.mounts import find_mount_point
from volfs.fuse.mounting import unmount

__all__ = ["seaweed"]

pytestmark = pytest.mark.fuse


class Machine(Command):
    """The command line on a machine of its own: nothing is shared but the bucket."""

    def __init__(self, directory: Path, url: str, keys: dict[str, str]) -> None:
        directory.mkdir()
        super().__init__(directory)
        self.url = url
        self.mountpoint = directory / "mnt"
        self.mountpoint.mkdir()
        self.environment |= keys | {
            "VOLFS_STORE": url,
            "VOLFS_STATE_DIR": str(directory / "state"),
            "VOLFS_CACHE_DIR": str(directory / "cache"),
        }

    def close(self) -> None:
        while find_mount_point(str(self.mountpoint)) is not None:
            self("umount", "--discard", self.mountpoint)
            unmount(str(self.mountpoint), lazy=True)


@pytest.fixture
def machines(seaweed: SeaweedServer, tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    bucket = create_s3_bucket(seaweed)
    url = f"s3://{bucket}/team/store/?endpoint={seaweed.endpoint}&region=us-east-1"
    here, there = (Machine(tmp_path / name, url, secret_of(seaweed)) for name in ("a", "b"))
    try:
        yield here, there
    finally:
        for machine in (here, there):
            machine.close()


def test_a_volume_on_two_machines(machines: tuple[Machine, Machine]) -> None:
    here, there = machines
    here("create", "data")
    for machine in machines:
        machine("mount", "data", machine.mountpoint)
    (here.mountpoint / "here").write_text("1")
    (there.mountpoint / "there").write_text("2")
    assert here("commit", "data", "-m", "first").out.startswith(b"Committed version 1")
    assert there("commit", "data").out.startswith(b"Committed version 2")
    here("reload", "data")
    assert sorted(path.name for path in here.mountpoint.iterdir()) == ["here", "there"]
    (status,) = [s for s in there("status", "--json").json if s["store"] == there.url]
    assert (status["mountpoint"], status["head"]) == (str(there.mountpoint), 2)
    (left,) = here("overlays", "--json").json
    assert left["name"].startswith("ma-")
    assert left["state"] == "alive"
    refused = there("delete", "data", "--yes", status=1).err
    assert f"mounted at {there.mountpoint}; unmount it first" in refused
    there("umount", "data")
    other = there("delete", "data", "--yes", status=1).err
    assert f"mounted on {gethostname()} at {here.mountpoint}; unmount it there" in other
    assert f"`volfs overlays forget {left['name']}`" in other
    here("umount", here.mountpoint)
    assert len(there("log", "data").lines) == 2
    there("delete", "data", "--yes")
    assert here("list").out == b""
