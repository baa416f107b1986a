"""Volumes whose store is a bucket, by the command line, from two machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from socket import gethostname

import pytest

from tests.cli.conftest import Command
from tests.harness.bucket_servers import create_s3_bucket, secret_of
from tests.harness.fault_proxy import FaultProxy
from tests.harness.mounted import wait_until
from tests.harness.servers import SeaweedServer
from volfs.control.mounts import find_mount_point
from volfs.fuse.mounting import unmount

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


def test_credentials_that_may_only_read(
    machines: tuple[Machine, Machine], seaweed: SeaweedServer
) -> None:
    """They read, and mount read-only. What would write says why it cannot."""
    here, reader = machines
    here("create", "data")
    here("put", "data", "-", "f", stdin=b"content")
    reader.environment |= {
        "AWS_ACCESS_KEY_ID": seaweed.reader_key,
        "AWS_SECRET_ACCESS_KEY": seaweed.reader_secret,
    }
    assert reader("ls", "data").lines == ["f"]
    assert reader("get", "data", "f", "-").out == b"content"
    assert len(reader("log", "data").lines) == 1
    refused = reader("mount", "data", reader.mountpoint, status=1).err
    assert "may not do that" in refused
    assert refused.endswith("or mount with --read-only\n")
    reader("mount", "--read-only", "data", reader.mountpoint)
    assert (reader.mountpoint / "f").read_bytes() == b"content"
    here("put", "data", "-", "g", stdin=b"more")
    reader("reload", reader.mountpoint)
    assert (reader.mountpoint / "g").read_bytes() == b"more"
    reader("umount", "data")
    for command in (("create", "x"), ("rm", "data", "f"), ("tag", "data", "now")):
        assert "may not do that" in reader(*command, status=1).err
    assert here("delete", "data", "--yes").out == b""


def test_a_service_that_goes_away(seaweed: SeaweedServer, tmp_path: Path) -> None:
    """What was written stays in the mount, every command says what is wrong, and when the service
    is back the next commit publishes everything."""
    bucket = create_s3_bucket(seaweed)
    proxy = FaultProxy(seaweed.endpoint)
    url = f"s3://{bucket}/?endpoint={proxy.endpoint}&region=us-east-1"
    machine = Machine(tmp_path / "m", url, secret_of(seaweed))
    try:
        machine("create", "data")
        machine("mount", "data", machine.mountpoint)
        (machine.mountpoint / "f").write_text("1")
        proxy.close()
        # Either "nothing answers there", or later "nothing has answered for some time".
        assert ": nothing " in machine("commit", machine.mountpoint, status=1).err
        assert ": nothing " in machine("list", status=1).err
        (machine.mountpoint / "g").write_text("2")
        proxy = FaultProxy(seaweed.endpoint, port=proxy.port)
        commit = ("commit", str(machine.mountpoint))
        wait_until(lambda: machine.start_alone(*commit).returncode == 0, "the service")
        machine("umount", machine.mountpoint)
        assert machine("ls", "data").lines == ["f", "g"]
    finally:
        machine.close()
        proxy.close()
