"""What docs/semantics.md promises while a store in a bucket does not answer."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_bucket_volumes import Machine
from tests.harness.bucket_servers import create_s3_bucket, secret_of
from tests.harness.mounted import wait_until
from tests.harness.servers import SeaweedServer
from volfs.control.mounts import find_mount_point

pytestmark = pytest.mark.fuse


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SeaweedServer]:
    """A server that a test may kill."""
    server = SeaweedServer(tmp_path / "weed")
    yield server
    server.close()


@pytest.fixture
def machine(server: SeaweedServer, tmp_path: Path) -> Iterator[Machine]:
    url = f"s3://{create_s3_bucket(server)}/store?endpoint={server.endpoint}&region=us-east-1"
    machine = Machine(tmp_path / "a", url, secret_of(server))
    machine.environment["VOLFS_STORE_TIMEOUT"] = "3"
    yield machine
    if server._process is None:
        server.start_again("/healthz")
    machine.close()


def find_state(machine: Machine) -> str:
    (status,) = machine("status", "--json").json
    return str(status["state"])


def test_a_store_that_is_away(server: SeaweedServer, machine: Machine) -> None:
    """Writes, names and what is cached go on. The rest is EIO, and a commit fails and keeps all.
    When the store is back, nothing has to be begun anew."""
    machine("create", "data")
    machine("mount", "data", machine.mountpoint)
    mount = machine.mountpoint
    (mount / "cached").write_text("cached")
    machine("commit", "data")
    pid = machine("status", "--json").json[0]["pid"]
    machine("put", "data", "/etc/hostname", "/not-cached")
    big = machine.directory / "big"
    big.write_bytes(os.urandom(3 << 20))
    machine.environment["VOLFS_CACHE_DIR"] = str(machine.directory / "another-cache")
    machine("put", "data", big, "/big")
    machine("reload", "data")
    server.close()
    (mount / "new").write_text("new")
    assert (mount / "cached").read_text() == "cached"
    assert sorted(os.listdir(mount)) == ["big", "cached", "new", "not-cached"]
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        (mount / "big").read_bytes()
    assert "reached by its mount point" in machine("commit", "data", status=1).err
    failed = machine("commit", mount, status=1).err
    assert "nothing has answered" in failed or "nothing answers" in failed
    (status,) = machine("status", "--json").json
    assert (status["state"], status["dirty_files"]) == ("store unreachable", 2)
    assert status["problem"].startswith("store unreachable since 20")
    server.start_again("/healthz")
    assert wait_until(lambda: find_state(machine) == "alive", "the store is found to be back")
    assert machine("commit", mount).out.startswith(b"Committed version 4")
    assert (mount / "big").read_bytes() == big.read_bytes()
    (status,) = machine("status", "--json").json
    assert (status["state"], status["problem"], status["pid"]) == ("alive", "", pid)
    server.close()
    (mount / "left").write_text("left")
    ended = machine("umount", mount, status=1).err
    assert "unmounted without a commit; the overlay is kept in" in ended
    assert find_mount_point(str(mount)) is None
    server.start_again("/healthz")
    machine.environment["VOLFS_STORE_TIMEOUT"] = "60"  # It is not quite up yet.
    (left,) = machine("overlays", "--json").json
    assert (left["state"], left["files"]) == ("dead", 2)
    machine("mount", "data", mount)
    assert (mount / "left").read_text() == "left"
    machine("umount", "data")
    assert machine("overlays").out == b""
