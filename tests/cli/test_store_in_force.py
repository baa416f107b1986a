"""A volume's name means the volume of the store in force, whoever else has one of that name."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.harness.mounted import is_running, wait_until
from volfs.control.mounts import find_mount_point, list_mount_points
from volfs.sessions.facts import DEVICE

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="no /dev/fuse"),
]
Mount = Callable[..., Path]


@pytest.fixture
def mount(volfs: Command, tmp_path: Path) -> Iterator[Mount]:
    """Mounts a volume of a store at a place of its own, with an uncommitted file ``f``."""
    places: list[Path] = []

    def mount(store: Path, volume: str = "v", name: str = "") -> Path:
        place = tmp_path / (name or f"mnt{len(places)}")
        place.mkdir()
        volfs("mount", volume, place, "--store", store)
        places.append(place)
        (place / "f").write_bytes(b"12345")
        return place

    yield mount
    for place in places:
        if find_mount_point(str(place)):
            volfs("umount", place)


@pytest.fixture
def other(volfs: Command, tmp_path: Path) -> Path:
    """Another store than the one in force. Both have a volume ``v``."""
    store = tmp_path / "other"
    volfs("create", "v")
    volfs("create", "v", "--store", store)
    return store


def status(volfs: Command, *args: str | Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = volfs("status", "--json", *args).json
    return rows


def is_untouched(volfs: Command, place: Path) -> bool:
    (row,) = status(volfs, place)
    return (row["version"], row["dirty_bytes"]) == (0, 5)


@pytest.mark.parametrize(
    "command",
    [["umount", "v", "--discard"], ["umount", "v"], ["commit", "v"], ["reload", "v"],
     ["status", "v"], ["volume", "commit", "v"]],
)  # fmt: skip
def test_another_stores_mount_is_left_alone(
    volfs: Command, mount: Mount, other: Path, command: list[str]
) -> None:
    place = mount(other)
    said = volfs(*command, status=1)
    assert "v: neither a mount point nor a mounted volume of the store" in said.err
    assert f"of another store is the v at {place}: name the mount point" in said.err
    assert is_untouched(volfs, place)
    volfs("delete", "-y", "v")
    assert "nor a volume of the store" in volfs(*command, status=1).err
    assert is_untouched(volfs, place)


def test_each_store_has_its_own(volfs: Command, mount: Mount, other: Path) -> None:
    theirs, ours = mount(other), mount(volfs.store)
    assert volfs("commit", "v").lines[0].startswith("Committed version 1")
    assert is_untouched(volfs, theirs)
    assert [row["mountpoint"] for row in status(volfs, "v")] == [str(ours)]
    assert [row["mountpoint"] for row in status(volfs, "v", "--store", other)] == [str(theirs)]
    volfs("umount", "v", "--discard", "--store", other)
    assert not find_mount_point(str(theirs))
    assert find_mount_point(str(ours))


def test_status_groups_by_store(volfs: Command, mount: Mount, other: Path) -> None:
    for store in (other, volfs.store, other, volfs.store):
        mount(store)
    stores = [row["store"] for row in status(volfs)]
    own = [store for store in stores if store in (str(volfs.store), str(other))]
    assert own == [str(volfs.store)] * 2 + [str(other)] * 2
    assert stores[:2] == [str(volfs.store)] * 2, "those of the store in force come first"


def test_a_discard_says_what_it_acts_on(volfs: Command, mount: Mount, other: Path) -> None:
    place = mount(other)
    said = volfs("umount", "v", "--discard", "--store", other).lines
    what = f"what v has uncommitted at {place} (2 files, 5 B)"
    assert said == [f"Discarding {what}; store {other}."]


def test_a_renamed_volume_has_its_new_name(volfs: Command, mount: Mount, other: Path) -> None:
    place = mount(volfs.store)
    volfs("rename", "-y", "v", "w")
    assert "nor a volume" in volfs("commit", "v", status=1).err
    volfs("create", "v")
    assert "nor a mounted volume" in volfs("commit", "v", status=1).err
    (row,) = status(volfs, "w")
    assert (row["volume"], row["mountpoint"]) == ("w", str(place))
    assert volfs("commit", "w").lines[0].startswith("Committed version 1")


def test_the_same_store_by_other_paths(
    volfs: Command, mount: Mount, other: Path, tmp_path: Path
) -> None:
    place = mount(volfs.store)
    link, bound = tmp_path / "link", tmp_path / "bound"
    link.symlink_to(volfs.store)
    bound.mkdir()
    subprocess.run(["mount", "--bind", volfs.store, bound], check=True)
    try:
        for address in (link, bound, f"file://{volfs.store}", os.path.relpath(link, tmp_path)):
            (row,) = status(volfs, "v", "--store", address)
            assert row["mountpoint"] == str(place)
        assert volfs("commit", "v", "--store", bound).lines[0].startswith("Committed version 1")
    finally:
        subprocess.run(["umount", bound], check=True)


@pytest.mark.parametrize("option", ["-a", "-al"])
def test_a_copied_store_has_no_mounts(
    volfs: Command, mount: Mount, other: Path, tmp_path: Path, option: str
) -> None:
    """Its volumes, sessions, even their facts are the same, and of hard links also the locks."""
    place = mount(volfs.store)
    copy = tmp_path / "copy"
    subprocess.run(["cp", option, volfs.store, copy], check=True)
    for command in (["umount", "--discard", "v"], ["commit", "v"], ["status", "v"]):
        volfs(*command, "--store", copy, status=1)
    assert is_untouched(volfs, place)
    (row,) = status(volfs, "v")
    assert row["mountpoint"] == str(place)


def test_no_store_or_a_damaged_one(volfs: Command, mount: Mount, other: Path) -> None:
    """A mount point needs none."""
    place = mount(other)
    missing = volfs("commit", "v", "--store", "/nowhere/at/all", status=1).err
    assert "a mount is reached by its mount point as well" in missing
    (volfs.store / "format").write_bytes(b"nonsense")
    damaged = volfs("umount", "--discard", "v", status=1).err
    assert damaged.startswith("volfs: umount: ")
    assert "a mount is reached by its mount point as well" in damaged
    assert is_untouched(volfs, place)
    assert volfs("commit", place).lines[0].startswith("Committed version 1")
    volfs("umount", place)


def test_an_address_that_is_none(volfs: Command, mount: Mount, other: Path) -> None:
    """A path needs no store, not even its address."""
    place, wrong = mount(other), {"VOLFS_STORE": "file://another.machine/s"}
    assert "volfs: commit: " in volfs("commit", "v", status=1, **wrong).err
    assert str(place) in [row["mountpoint"] for row in volfs("status", "--json", **wrong).json]
    assert volfs("commit", place, **wrong).lines[0].startswith("Committed version 1")
    volfs("umount", "--discard", place, **wrong)


def test_several_mounts_are_listed(volfs: Command, mount: Mount, other: Path) -> None:
    places = [mount(volfs.store), mount(volfs.store)]
    mount(other)
    said = volfs("umount", "--discard", "v", status=1).err
    assert f"mounted more than once ({places[0]}, {places[1]})" in said
    assert all(is_untouched(volfs, place) for place in places)
    assert [row["mountpoint"] for row in status(volfs, "v")] == [*map(str, places)]


def test_a_bind_mount_is_the_same_mount(
    volfs: Command, mount: Mount, other: Path, tmp_path: Path
) -> None:
    mount(volfs.store)
    bound = tmp_path / "bound"
    bound.mkdir()
    subprocess.run(["mount", "--bind", tmp_path / "mnt0", bound], check=True)
    try:
        assert volfs("commit", "v").lines[0].startswith("Committed version 1")
    finally:
        subprocess.run(["umount", bound], check=True)


def test_a_mount_in_another_namespace(volfs: Command, other: Path, tmp_path: Path) -> None:
    """It is told, and nothing that is seen here is taken for it."""
    place = tmp_path / "hidden"
    place.mkdir()
    argv = [*volfs.argv, "mount", "v", str(place)]
    command = ["unshare", "-m", "--propagation", "private", *argv]
    subprocess.run(command, check=True, env=volfs.environment, cwd=volfs.directory)
    (session,) = (volfs.store / "mounts").iterdir()
    try:
        said = volfs("umount", "--discard", "v", status=1).err
        assert f"has it for {place}, where this process does not see it mounted" in said
    finally:
        pid = int(said.split("process ")[1].split(" ")[0])
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_running(pid), "the daemon's end")
    assert not session.exists()


# --- a word that is both -----------------------------------------------------


def test_a_word_for_two_things_is_refused(
    volfs: Command, mount: Mount, other: Path, tmp_path: Path
) -> None:
    """``v`` is a volume of the store in force, and the mount point of another."""
    place = mount(other, name="v")
    for command in (["umount", "--discard", "v"], ["commit", "v"], ["status", "v"]):
        said = volfs(*command, status=1).err
        assert "v: a volume of the store" in said
        assert "./v is the mount point" in said
    assert is_untouched(volfs, place)
    ours = mount(volfs.store)
    assert "./v is the mount point" in volfs("umount", "--discard", "v", status=1).err
    assert is_untouched(volfs, place)
    assert is_untouched(volfs, ours)
    assert volfs("commit", "./v").lines[0].startswith("Committed version 1")
    assert volfs("commit", "v", "--store", other).lines[0].startswith("Nothing to commit")


def test_a_word_that_is_only_a_mount_point(volfs: Command, mount: Mount, other: Path) -> None:
    mount(other, name="mine")
    assert volfs("commit", "mine").lines[0].startswith("Committed version 1")
    assert volfs("commit", "mine", "--store", "/no/where").lines[0].startswith("Nothing")


def test_a_word_for_one_of_several_mounts(volfs: Command, mount: Mount, other: Path) -> None:
    """The mount point says which."""
    place, second = mount(volfs.store, name="v"), mount(volfs.store)
    assert volfs("commit", "v").lines[0].startswith("Committed version 1")
    assert is_untouched(volfs, second)
    assert not is_untouched(volfs, place)


def point_to(device: Path, place: Path) -> None:
    """Write another mount's number into a session's file."""
    (number,) = [m.device for m in list_mount_points() if m.path == str(place)]
    words = device.read_text().split()
    device.write_text(" ".join(["{}:{}".format(*number), *words[1:]]))


# --- sessions that say little, or too much -----------------------------------


def test_the_number_of_a_dead_mount_is_another_ones_now(
    volfs: Command, mount: Mount, other: Path
) -> None:
    """A dead session names the device, and even the place, of a living mount of another store."""
    place = mount(volfs.store)
    (row,) = status(volfs, place)
    os.kill(row["pid"], signal.SIGKILL)
    wait_until(lambda: not is_running(row["pid"]), "the daemon's end")
    dead = volfs("status", "v").lines
    assert [line.split("\t")[1:3] for line in dead] == [[str(place), "dead"]]
    assert f"its mount at {place} is dead" in volfs("commit", "v", status=1).err
    subprocess.run(["umount", "-l", place], check=True)
    place.rmdir()
    again = mount(other, name=place.name)
    (device,) = volfs.store.rglob(f"mounts/*/{DEVICE}")
    point_to(device, again)
    for command in (["umount", "--discard", "v"], ["commit", "v"], ["status", "v"]):
        volfs(*command, status=1)
    assert is_untouched(volfs, again)
    (name,) = [row["name"] for row in volfs("overlays", "--json").json]
    said = volfs("overlays", "discard", name).lines
    assert said == [f"Discarding what a mount of v left at {place}; store {volfs.store}."]
    assert is_untouched(volfs, again)


def test_a_living_session_that_names_another_ones_mount(
    volfs: Command, mount: Mount, other: Path
) -> None:
    """Whatever the files say: who answers has to have the session."""
    theirs, ours = mount(other), mount(volfs.store)
    (device,) = volfs.store.rglob(f"mounts/*/{DEVICE}")
    right = device.read_bytes()
    point_to(device, theirs)
    said = volfs("umount", "--discard", "v", status=1).err
    assert f"{theirs}: another mount by now, of {other}" in said
    assert is_untouched(volfs, theirs)
    device.write_bytes(right)
    assert is_untouched(volfs, ours)
