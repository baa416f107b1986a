"""What a command sees of other hosts, and of a store that is away."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import gethostname

import pytest

from tests.cli.conftest import Result
from tests.cli.test_bucket_volumes import Machine, machines, seaweed
from tests.harness.bucket_servers import create_s3_bucket, secret_of
from tests.harness.servers import SeaweedServer
from volfs.control.mounts import find_mount_point

__all__ = ["machines", "seaweed"]

pytestmark = pytest.mark.fuse


def test_hosts_of_a_store(machines: tuple[Machine, Machine]) -> None:
    """Each sees the other's mounts by their leases, and touches nothing of them. A host that never
    comes back is forgotten, and then keeps nothing."""
    here, there = machines
    here("create", "data")
    here("mount", "data", here.mountpoint)
    (here.mountpoint / "f").write_text("1")
    here("commit", "data")
    there("mount", "--read-only", "data", there.mountpoint)
    for machine in machines:
        found = machine("status", "--all-hosts", "--json").json
        seen = {row["mountpoint"]: (row["volume"], row["version"], row["kind"]) for row in found}
        assert seen == {
            str(here.mountpoint): ("data", 1, "kept"),
            str(there.mountpoint): ("data", 1, "renewed"),
        }
        assert {row["host"] for row in found} == {gethostname()}
        assert all(0 <= row["renewed"] < 3600 for row in found)
    assert there("status", "-e", "other", "--all-hosts").out == b""
    assert "--all-hosts" in there("status", "--all-hosts", "data", status=2).err
    (left,) = there("overlays", "--all-hosts", "--json").json
    assert (left["state"], left["mountpoint"]) == ("elsewhere", str(here.mountpoint))
    assert (left["host"], left["files"]) == (gethostname(), None)
    assert there("overlays").out == b""
    session = left["name"]
    assert here("overlays", "--all-hosts", "--json").json[0]["state"] == "alive"
    for command in (("discard", session), ("commit", session), ("adopt", session, "/mnt")):
        assert "no overlay" in there("overlays", *command, status=1).err
    there("umount", "data")
    assert f"overlays forget {session}" in there("delete", "data", "--yes", status=1).err
    assert "of this host" in here("overlays", "forget", session, "--yes", status=1).err
    assert "no session" in there("overlays", "forget", "nobody", "--yes", status=1).err
    refused = there("overlays", "forget", session, status=1)
    assert b"stands on version 1, which may be expired" in refused.out
    assert "--yes" in refused.err
    there("overlays", "forget", session, "--yes")
    assert there("status", "--all-hosts", "--json").json == []
    # The host lives after all. Its version is still there, so nothing was lost.
    (here.mountpoint / "g").write_text("2")
    assert here("commit", "data").out.startswith(b"Committed version 2")
    here("umount", "data")
    there("delete", "data", "--yes")


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


def retry(call: Callable[[], Result], most: int = 10) -> Result:
    """What a call says once the store is found to be back, which takes some seconds."""
    for _ in range(most):
        try:
            return call()
        except AssertionError as error:
            failed = error
    raise failed


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
    failed = machine("commit", "data", status=1).err
    assert "nothing has answered" in failed or "nothing answers" in failed
    (status,) = machine("status", "--json").json
    assert (status["state"], status["dirty_files"]) == ("unreachable", 1)
    assert status["problem"].startswith("store unreachable since 20")
    server.start_again("/healthz")
    committed = retry(lambda: machine("commit", "data"))
    assert committed.out.startswith(b"Committed version 4")
    assert (mount / "big").read_bytes() == big.read_bytes()
    (status,) = machine("status", "--json").json
    assert (status["state"], status["problem"], status["pid"]) == ("alive", "", pid)
    server.close()
    (mount / "left").write_text("left")
    ended = machine("umount", "data", status=1).err
    assert "unmounted without a commit; the overlay is kept in" in ended
    assert find_mount_point(str(mount)) is None
    server.start_again("/healthz")
    (left,) = machine("overlays", "--json").json
    assert (left["state"], left["files"]) == ("dead", 1)
    machine("mount", "data", mount)
    assert (mount / "left").read_text() == "left"
    machine("umount", "data")
    assert machine("overlays").out == b""
