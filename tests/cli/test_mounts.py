"""The mount commands against a real mount, as a user types them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.harness.mounted import is_running, wait_until
from volfs.control.mounts import find_mount_point

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="no /dev/fuse"),
]


@pytest.fixture
def mounted(volfs: Command, tmp_path: Path) -> Iterator[Path]:
    """Where the new volume ``v`` is mounted."""
    place = tmp_path / "mnt"
    place.mkdir()
    volfs("create", "v")
    volfs("mount", "v", place)
    yield place
    if find_mount_point(str(place)):
        volfs("umount", place)


def test_commit_says_what_it_did(volfs: Command, mounted: Path) -> None:
    (mounted / "f").write_bytes(b"1")
    assert volfs("commit", mounted, "-m", "first").lines[0].startswith("Committed version 1 (")
    assert volfs("commit", "v").lines == ["Nothing to commit; version 1 is the newest."]
    (mounted / "f").write_bytes(b"2")
    done = volfs("volume", "commit", "v", "--json").json
    assert list(done) == ["changed", "version", "new_objects", "new_bytes", "overridden"]
    assert (done["changed"], done["version"], done["overridden"]) == (True, 2, [])
    assert volfs("log", "v", "--json").json[-1]["message"] == "first"


def test_commit_reports_or_refuses_what_others_did(
    volfs: Command, mounted: Path, tmp_path: Path
) -> None:
    (tmp_path / "theirs").write_bytes(b"theirs")
    (mounted / "f").write_bytes(b"ours")
    volfs("put", "v", tmp_path / "theirs", "f")
    refused = volfs("commit", mounted, "--on-conflict", "fail", status=1)
    assert refused.err.startswith("volfs: commit: others committed changes to f")
    assert "overridden: f: others created it, we created it" in volfs("commit", mounted).lines[1]
    assert volfs("get", "v", "f", "-").out == b"ours"


def test_reload_and_the_status_of_a_busy_one(volfs: Command, mounted: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (mounted / "f").write_bytes(b"1")
    volfs("commit", mounted)
    volfs("put", "v", tmp_path / "new", "new")
    assert os.listdir(mounted) == ["f"]
    with (mounted / "f").open("rb"):
        busy = volfs("reload", "v", status=16)
        assert busy.err.startswith(
            "volfs: reload: volume busy: there are open files preventing the operation"
        )
        assert volfs("reload", "v", "--wait", "0.2", status=16).err.count("\n") == 1
    assert volfs("reload", "v", "--json").json == {"version": 2, "before": 1}
    assert volfs("reload", "v").lines == ["Already at version 2."]
    assert volfs("reload", "v", "--touch", "--json").json == {
        "version": 2,
        "before": 2,
        "touched": 0,
    }
    assert sorted(os.listdir(mounted)) == ["f", "new"]


def test_status_info_and_delete_know_the_mount(volfs: Command, mounted: Path) -> None:
    (mounted / "f").write_bytes(b"12345")
    (row,) = volfs("status", "v", "--json").json
    assert list(row) == [
        "volume", "mountpoint", "state", "version", "head", "pid", "dirty_files",
        "dirty_bytes", "open_files", "read_only", "auto_commit", "store", "volume_id",
        "environment", "problem", "requests",
    ]  # fmt: skip
    assert (row["volume"], row["mountpoint"], row["state"]) == ("v", str(mounted), "alive")
    assert (row["version"], row["dirty_bytes"], row["read_only"]) == (0, 5, False)
    assert volfs("info", "v", "--json").json["mounts"] == [str(mounted)]
    assert "mounted at" in volfs("delete", "-y", "v", status=1).err
    volfs("umount", mounted)
    assert volfs("ls", "v").lines == ["f"]
    volfs("delete", "-y", "v")


def test_a_dead_mount_of_the_same_name(volfs: Command, mounted: Path, tmp_path: Path) -> None:
    """It neither stands for the volume nor hides the mount that lives."""
    (row,) = volfs("status", mounted, "--json").json
    os.kill(row["pid"], signal.SIGKILL)
    wait_until(lambda: not is_running(row["pid"]), "the daemon's end")
    line = volfs("commit", "v", status=1).err.strip()
    assert line.startswith("volfs: commit: v: neither a mount point nor a mounted volume of ")
    assert f"its mount at {mounted} is dead" in line
    other = tmp_path / "other"
    other.mkdir()
    volfs("mount", "v", other)
    (other / "f").write_bytes(b"1")
    assert volfs("commit", "v").lines[0].startswith("Committed version 1 (")
    volfs("umount", "v")
    volfs("mount", "v", mounted)  # takes the dead one away


def test_status_of_what_cannot_answer(volfs: Command, mounted: Path, tmp_path: Path) -> None:
    """It lives all the same, and the keys are the same."""
    (row,) = volfs("status", mounted, "--json").json
    os.kill(row["pid"], signal.SIGSTOP)
    try:
        (stopped,) = [r for r in volfs("status", "--json").json if r["mountpoint"] == str(mounted)]
        for key in ("pid", "store", "volume_id"):
            assert stopped[key] == row[key], "its session says so"
        assert stopped["state"] == "stopped"
        elsewhere = {"VOLFS_RUNTIME_DIR": str(tmp_path / "elsewhere")}
        (hidden,) = volfs("status", mounted, "--json", **elsewhere).json
        assert (hidden["state"], hidden["pid"]) == ("stopped", row["pid"])
        assert list(stopped) == list(row)
        assert volfs("status", "v").lines[0].split("\t")[2] == "stopped"
    finally:
        os.kill(row["pid"], signal.SIGCONT)
    (row,) = volfs("status", mounted, "--json", **elsewhere).json
    assert row["state"] == "unreachable"
    other = {"VOLFS_STORE": str(tmp_path / "other"), **elsewhere}
    (row,) = volfs("status", mounted, "--json", **other).json
    assert (row["state"], row["pid"], row["store"]) == ("unreachable", None, None)
    said = volfs("umount", mounted, status=1, **elsewhere).err
    assert "was mounted with another VOLFS_RUNTIME_DIR or XDG_RUNTIME_DIR" in said
    assert find_mount_point(str(mounted))


def test_umount_discard_drops_what_was_not_committed(volfs: Command, mounted: Path) -> None:
    (mounted / "f").write_bytes(b"1")
    volfs("umount", "v", "--discard")
    assert volfs("log", "v").lines == []


def test_a_pinned_mount_shows_its_version(volfs: Command, mounted: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (mounted / name).touch()
        volfs("commit", mounted)
    pinned = tmp_path / "pinned"
    pinned.mkdir()
    volfs("mount", "v", pinned, "--at", "1")
    try:
        assert os.listdir(pinned) == ["one"]
    finally:
        volfs("umount", pinned)
    assert "no version 9" in volfs("mount", "v", pinned, "--at", "9", status=1).err
