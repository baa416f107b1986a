"""``volfs merge`` as a person and a script use it, and what a merge that dies leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from volfs.control.mounts import find_mount_point


@pytest.fixture
def forked(volfs: Command, tmp_path: Path) -> Command:
    """The volume ``data``, and its fork ``dev`` with a change and a new file."""
    volfs("create", "data")
    put(volfs, "data", "a", "1")
    volfs("fork", "data", "dev")
    put(volfs, "dev", "a", "dev")
    put(volfs, "dev", "new", "dev")
    return volfs


def put(volfs: Command, volume: str, name: str, text: str) -> None:
    volfs("put", "-f", volume, "-", name, stdin=text.encode())


def test_what_is_said(forked: Command) -> None:
    changes = ["M a", "A new"]
    said = forked("merge", "dev", "--dry-run").lines
    assert said == [*changes, "Would merge dev at version 3 into data at version 1: 2 changes."]
    put(forked, "data", "a", "data")
    refused = forked("merge", "dev", "--on-conflict", "fail", status=1).err
    assert refused.startswith("volfs: merge: dev and data both changed a; nothing was merged;")
    assert forked("merge", "dev", "-m", "all of it").lines == [
        *changes,
        "overridden: a: data modified it, dev modified it; that of data stays in its history",
        "Merged dev at version 3 into data as version 3: 2 changes.",
    ]
    assert forked("log", "data", "--json").json[0]["message"] == "all of it"
    assert forked("merge", "dev").lines == ["Nothing to merge: data has all of dev at version 3."]
    told = forked("merge", "dev", "data", "--json").json
    assert (told["changed"], told["version"], told["changes"]) == (False, 3, [])
    assert "name the volume that takes its changes" in forked("merge", "data", status=1).err
    assert "no such volume" in forked("merge", "dev", "nothing", status=1).err
    assert "no version 99" in forked("merge", "dev", "--since", "99", status=1).err


@pytest.mark.parametrize("point", ["merge.brought", "merge.published"])
def test_a_merge_that_dies(forked: Command, point: str) -> None:
    """It has happened or it has not; a second merge brings nothing twice."""
    forked.environment["VOLFS_FAULT"] = f"{point}:1:kill"
    forked("merge", "dev", status=-9)
    del forked.environment["VOLFS_FAULT"]
    if point == "merge.published":
        put(forked, "data", "a", "data, later")
    again = forked("merge", "dev", "--json").json
    assert again["changed"] == (point == "merge.brought")
    assert again["conflicts"] == []
    assert forked("log", "data", "--json").json[0]["version"] == (2 if again["changed"] else 3)


@pytest.mark.fuse
@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="no /dev/fuse")
def test_mounts_of_both(forked: Command, tmp_path: Path) -> None:
    """Uncommitted work of the fork is named, and so is what the other volume's mount needs."""
    places = [tmp_path / "data-mnt", tmp_path / "dev-mnt"]
    try:
        for place in places:
            place.mkdir()
            forked("mount", place.name.removesuffix("-mnt"), place)
        (places[1] / "late").write_text("1")
        notes = forked("merge", f"{places[1]}/", f"{places[0]}/").err.splitlines()
        assert notes == [
            f"volfs: merge: what {places[1]} has not committed of dev is not merged",
            f"volfs: merge: {places[0]} shows it after: volfs reload {places[0]}",
        ]
        assert (places[0] / "a").read_text() == "1"
        forked("reload", places[0])
        assert (places[0] / "a").read_text() == "dev"
    finally:
        for place in places:
            if find_mount_point(str(place)):
                forked("umount", place)
