"""What docs/semantics.md promises of the machines that share a store in a bucket."""

from __future__ import annotations

from socket import gethostname

import pytest

from tests.cli.test_bucket_volumes import Machine, machines

__all__ = ["machines"]

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
