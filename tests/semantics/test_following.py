"""The contract, sentence by sentence: mounts that follow the newest version."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.harness.calls import fails
from tests.harness.mounted import Mounts, wait_until
from tests.volume.shortcuts import publish_files
from volfs.model.retention import KeepRules
from volfs.volume.expire import expire_versions
from volfs.volume.gc import collect_garbage

pytestmark = pytest.mark.fuse


def test_new_versions_are_shown_and_open_files_stay(mounts: Mounts) -> None:
    """Each new version, as it is published; an open file keeps its content; nothing is written."""
    publish_files(mounts.store, mounts.volume, {"model": b"one" * 100_000, "d/gone": b"1"})
    mounted = mounts.mount(follow=True)
    with (mounted.path / "model").open("rb") as file:
        assert file.read(3) == b"one"
        publish_files(
            mounts.store, mounts.volume, {"model": b"two" * 100_000, "d/gone": None, "d/new": b"2"}
        )
        assert (mounted.path / "model").read_bytes() == b"two" * 100_000
        assert os.listdir(mounted.path / "d") == ["new"]
        expire_versions(mounts.store, mounts.volume, KeepRules(last=1))
        collect_garbage(mounts.store, grace=0)
        assert file.read() == b"one" * 99_999
    with fails(errno.EROFS):
        (mounted.path / "x").touch()
    assert (mounted.status().version, mounted.status().read_only) == (2, True)
    assert mounted.reload().version == 2


def test_a_hook_runs_after_each_version(mounts: Mounts) -> None:
    """One at a time; versions that come meanwhile are joined; a hook that fails ends nothing."""
    publish_files(mounts.store, mounts.volume, {"f": b"1"})
    said, gate = mounts.directory / "said", mounts.directory / "gate"
    os.mkfifo(gate)
    command = (
        f'echo "$VOLFS_VOLUME $VOLFS_VERSION $(cat "$VOLFS_MOUNTPOINT/f")" >> {said}; '
        f"read line < {gate}; echo said; exit $line"
    )
    mounts.expect("the hook ended with status 7: said")
    mounted = mounts.mount(follow=True, on_version=command)

    def hooks() -> list[str]:
        return said.read_text().splitlines() if said.exists() else []

    publish_files(mounts.store, mounts.volume, {"f": b"2"})
    wait_until(lambda: len(hooks()) == 1, "the first hook")
    for text in (b"3", b"4"):
        publish_files(mounts.store, mounts.volume, {"f": text})
        assert (mounted.path / "f").read_bytes() == text  # whatever the hook does
    gate.write_text("7\n")
    wait_until(lambda: len(hooks()) == 2, "the second hook")
    mounted.wait_for_log("the hook ended with status 7: said")
    gate.write_text("0\n")
    mounted.wait_for_log("version 4: the hook has ended")
    assert hooks() == ["data 2 2", "data 4 4"]


def test_a_hook_that_runs_is_ended_with_the_mount(mounts: Mounts) -> None:
    publish_files(mounts.store, mounts.volume, {"f": b"1"})
    begun: Path = mounts.directory / "begun"
    mounted = mounts.mount(
        follow=True, on_version=f"echo $$ > {begun}.new; mv {begun}.new {begun}; sleep 1000"
    )
    publish_files(mounts.store, mounts.volume, {"f": b"2"})
    wait_until(begun.exists, "the hook")
    mounted.unmount()
    wait_until(lambda: not Path(f"/proc/{begun.read_text().strip()}").exists(), "its end")
