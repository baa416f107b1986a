"""doctor: what it finds on a machine, in a store and at a mount whose daemon died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.harness.mounted import is_running, wait_until
from volfs.control.mounts import find_mount_point

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="no /dev/fuse"),
]


def look(volfs: Command, *args: str, **environment: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit status and the findings. Others' mounts on this machine may be among them."""
    done = volfs.start_alone("doctor", "--json", *args, **environment)
    return done.returncode, json.loads(done.stdout)


def find(findings: list[dict[str, Any]], check: str, about: str = "") -> dict[str, Any]:
    return next(it for it in findings if it["check"] == check and about in it["found"])


def test_each_line_is_ok_or_says_what_to_do(volfs: Command, tmp_path: Path) -> None:
    _, findings = look(volfs)
    assert "volfs create" in find(findings, "store")["found"]
    place = tmp_path / "mnt"
    place.mkdir()
    volfs("create", "v")
    volfs("mount", "v", place)
    try:
        (place / "f").write_bytes(b"kept")
        os.sync()
        pid = volfs("status", place, "--json").json[0]["pid"]
        _, findings = look(volfs)
        for check in ("/dev/fuse", "fusermount3", "libfuse", "bwrap", "python", "kernel", "disk"):
            assert find(findings, check)["state"] == "ok", check
        assert find(findings, "store")["found"].endswith("1 volume")
        assert {it["state"] for it in findings if not it["advice"]} == {"ok"}
        assert not any(str(place) in it["found"] for it in findings)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_running(pid), "the end of the daemon")
        status, findings = look(volfs)
        assert status == 1
        dead = find(findings, "mount", str(place))
        assert (dead["state"], dead["advice"]) == ("problem", f"volfs umount {place}")
        assert "volfs overlays commit" in find(findings, "overlay")["advice"]
        told = volfs("doctor", status=1)
        assert any(line.startswith("problem  mount") for line in told.lines)
        assert "1 problem" in told.err
    finally:
        if find_mount_point(str(place)):
            subprocess.run(["umount", "-l", place], check=True)


def test_what_is_missing_is_named(volfs: Command, tmp_path: Path) -> None:
    _, findings = look(volfs, PATH=str(tmp_path))
    for check, package in (("fusermount3", "fuse3"), ("bwrap", "bubblewrap")):
        found = find(findings, check)
        assert found["state"] != "ok"
        assert f"apt-get install {package}" in found["advice"]
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "index").write_bytes(b"not a store")
    assert find(look(volfs)[1], "store")["state"] != "ok"
