"""What dead mounts leave, as a user finds it again and decides."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.harness.mounted import is_running, wait_until
from volfs.control.mounts import find_mount_point, list_volfs_mounts

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="no /dev/fuse"),
]
KEYS = ["name", "volume", "mountpoint", "state", "version", "age", "files", "bytes", "problem"]
KEYS += ["environment"]


@pytest.fixture
def place(volfs: Command, tmp_path: Path) -> Iterator[Path]:
    """Where to mount the new volume ``v``; nothing stays mounted."""
    place = tmp_path / "mnt"
    place.mkdir()
    volfs("create", "v")
    yield place
    for mount in list_volfs_mounts():
        if mount.path.startswith(str(tmp_path)):
            if volfs("status", mount.path, "--json").json[0]["state"] == "alive":
                volfs("umount", "--discard", mount.path)
            else:
                subprocess.run(["umount", "-l", mount.path], check=True)


def write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def kill(volfs: Command, place: Path) -> None:
    (row,) = volfs("status", place, "--json").json
    os.kill(row["pid"], signal.SIGKILL)
    wait_until(lambda: not is_running(row["pid"]), "the daemon's end")


def leave(volfs: Command, place: Path, *options: str) -> Any:
    """What a killed mount left: the file ``f``, uncommitted."""
    volfs("mount", "v", place, *options)
    write(place / "f", b"x" * 5000)
    kill(volfs, place)
    (row,) = volfs("overlays", "--json").json
    return row


def test_what_dead_mounts_left_is_listed(volfs: Command, place: Path) -> None:
    assert volfs("overlays", "--json").json == []
    volfs("mount", "v", place)
    write(place / "f", b"x" * 5000)
    (alive,) = volfs("overlays", "--json").json
    kill(volfs, place)
    (dead,) = volfs("overlays", "--json").json
    assert list(dead) == KEYS
    assert (alive["state"], dead["state"]) == ("alive", "dead")
    assert dead["name"].startswith("v-")
    assert (dead["volume"], dead["mountpoint"], dead["version"]) == ("v", str(place), 0)
    assert (dead["files"], dead["bytes"], dead["problem"]) == (2, 5000, "")  # f, and its directory
    assert 0 <= dead["age"] < 600
    assert volfs("overlays").lines[0].split("\t")[:4] == [dead["name"], "v", str(place), "dead"]
    volfs("mount", "v", place)
    assert (place / "f").read_bytes() == b"x" * 5000
    volfs("umount", place)
    assert volfs("overlays", "--json").json == []


def test_the_version_is_what_it_stands_on(volfs: Command, place: Path) -> None:
    volfs("mount", "v", place)
    write(place / "f", b"x")
    volfs("commit", place)
    write(place / "f", b"y")
    (alive,) = volfs("overlays", "--json").json
    kill(volfs, place)
    (dead,) = volfs("overlays", "--json").json
    assert (alive["version"], dead["version"]) == (1, 1)


def test_a_dead_mount_can_be_unmounted_and_keeps_what_it_has(volfs: Command, place: Path) -> None:
    left = leave(volfs, place)
    assert "its daemon had died and nothing was committed" in volfs("umount", place, status=1).err
    assert find_mount_point(str(place)) is None
    assert [row["name"] for row in volfs("overlays", "--json").json] == [left["name"]]
    volfs("mount", "v", place)
    assert (place / "f").read_bytes() == b"x" * 5000


def test_one_is_committed_by_name(volfs: Command, place: Path) -> None:
    left = leave(volfs, place)
    done = volfs("overlays", "commit", left["name"], "-m", "saved", "--json").json
    assert (done["changed"], done["version"]) == (True, 1)
    assert volfs("get", "v", "f", "-").out == b"x" * 5000
    assert volfs("log", "v", "--json").json[0]["message"] == "saved"
    assert volfs("overlays", "--json").json == []
    assert "no overlay" in volfs("overlays", "commit", left["name"], status=1).err
    volfs("mount", "v", place)
    assert (place / "f").read_bytes() == b"x" * 5000


def test_one_is_discarded_by_name(volfs: Command, place: Path) -> None:
    left = leave(volfs, place)
    refused = volfs("delete", "-y", "v", status=1).err
    assert f"volfs overlays discard {left['name']}" in refused
    volfs("overlays", "discard", left["name"])
    assert volfs("overlays", "--json").json == []
    assert os.listdir(volfs.store / "mounts") == []
    assert find_mount_point(str(place)) is None, "the dead mount was taken away, too"
    volfs("mount", "v", place)
    assert os.listdir(place) == []
    volfs("umount", place)
    volfs("delete", "-y", "v")


def test_one_is_adopted_at_another_place(volfs: Command, place: Path, tmp_path: Path) -> None:
    left = leave(volfs, place, "--sub-path", "d")
    other = tmp_path / "other"
    other.mkdir()
    volfs("overlays", "adopt", left["name"], other)
    assert (other / "f").read_bytes() == b"x" * 5000
    write(other / "g", b"y")
    kill(volfs, other)
    (again,) = volfs("overlays", "--json").json
    assert (again["mountpoint"], again["files"]) == (str(other), 3)
    volfs("mount", "v", other, "--sub-path", "d")
    assert sorted(os.listdir(other)) == ["f", "g"]
    volfs("mount", "v", place, "--sub-path", "d")
    assert os.listdir(place) == []
    volfs("umount", other)
    assert volfs("ls", "v", "d").lines == ["d/f", "d/g"]


def test_nothing_is_adopted_over_another_overlay(
    volfs: Command, place: Path, tmp_path: Path
) -> None:
    left = leave(volfs, place)
    other = tmp_path / "other"
    other.mkdir()
    volfs("mount", "v", other)
    write(other / "theirs", b"1")
    kill(volfs, other)
    assert "cannot become" in volfs("overlays", "adopt", left["name"], other, status=1).err
    assert [row["state"] for row in volfs("overlays", "--json").json] == ["dead", "dead"]


def test_a_living_one_is_left_alone(volfs: Command, place: Path, tmp_path: Path) -> None:
    volfs("mount", "v", place)
    write(place / "f", b"1")
    (alive,) = volfs("overlays", "--json").json
    for verb in ("commit", "discard"):
        assert "living" in volfs("overlays", verb, alive["name"], status=1).err
    assert "living" in volfs("overlays", "adopt", alive["name"], tmp_path, status=1).err
    assert (place / "f").read_bytes() == b"1"


def test_a_rename_of_the_volume_loses_none(volfs: Command, place: Path) -> None:
    left = leave(volfs, place)
    volfs("rename", "-y", "v", "w")
    (row,) = volfs("overlays", "--json").json
    assert (row["name"], row["volume"], row["files"]) == (left["name"], "w", 2)
    volfs("mount", "w", place)
    assert (place / "f").read_bytes() == b"x" * 5000


def test_only_overlays_are_discarded(volfs: Command, place: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("..", "../mine", tmp_path / "mine", "lock", ""):
        assert "no overlay" in volfs("overlays", "discard", name, status=1).err
    assert (tmp_path / "mine").is_dir()


DAMAGE = {
    "no facts": ("session.json", None, "session.json cannot be read"),
    "facts cut off": ("session.json", 7, "session.json cannot be read"),
    "no catalog": ("catalog/data.mdb", None, "catalog/data.mdb is missing"),
    "empty catalog": ("catalog/data.mdb", 0, "catalog"),
    "catalog cut off": ("catalog/data.mdb", 8192, "catalog"),
    "no scratch": ("scratch/00000001.arena", None, "00000001.arena: No such file"),
    "scratch cut off": ("scratch/00000001.arena", 4096, "was cut off at 4096 of 5000 bytes"),
}


def test_damaged_ones_are_listed_with_the_reason(volfs: Command, place: Path) -> None:
    whole = volfs.store / "mounts" / leave(volfs, place)["name"]
    for number, (name, size, _) in enumerate(DAMAGE.values()):
        copy = whole.with_name(f"v-{number:012d}")
        shutil.copytree(whole, copy)
        if size is None:
            (copy / name).unlink()
        else:
            os.truncate(copy / name, size)
    rows = {row["name"]: row for row in volfs("overlays", "--json").json}
    assert rows.pop(whole.name)["state"] == "dead"
    for number, (_, _, why) in enumerate(DAMAGE.values()):
        row = rows[f"v-{number:012d}"]
        assert row["state"] == "damaged", why
        assert why in row["problem"]
    last = max(rows)
    assert "was cut off" in volfs("overlays", "commit", last, status=1).err
    assert "was cut off" in volfs("overlays", "adopt", last, place, status=1).err
    for name in rows:
        volfs("overlays", "discard", name)
    assert [row["name"] for row in volfs("overlays", "--json").json] == [whole.name]
    assert volfs("log", "v").lines == []


def strand(volfs: Command, place: Path) -> str:
    """The session's directory of a killed mount, whose version the restored store has not."""
    volfs("mount", "v", place)
    write(place / "old", b"x" * 5000)
    volfs("commit", place)
    backup = volfs.directory / "backup"
    shutil.copytree(volfs.store, backup)
    write(place / "lost", b"y" * 50_000)
    volfs("commit", place)
    write(place / "new", b"z")
    with (place / "lost").open("r+b") as file:
        file.write(b"NEW")
        file.flush()
        os.fsync(file.fileno())
    kill(volfs, place)
    bad = volfs.directory / "bad"
    volfs.store.rename(bad)
    backup.rename(volfs.store)
    shutil.rmtree(volfs.store / "mounts")
    (session,) = (bad / "mounts").iterdir()
    return str(session)


def test_one_without_its_version_is_exported(volfs: Command, place: Path) -> None:
    session = strand(volfs, place)
    done = volfs("overlays", "export", session, "out", status=1)
    assert done.lines[0].startswith("Exported 1 file, 0 changed directories, 0 deletions")
    assert "incomplete: lost: bytes 3-50000 are missing" in done.err
    assert "not all is there: 1 incomplete file" in done.err
    assert (volfs.directory / "out" / "files" / "new").read_bytes() == b"z"
    assert "not empty; --force" in volfs("overlays", "export", session, "out", status=1).err
    said = volfs("overlays", "export", session, "out", "--force", "--json", status=1).json
    assert said["incomplete"][0]["missing"] == [[3, 50_000]]
    assert list(said) == [
        "directory",
        "files",
        "directories",
        "bytes",
        "deleted",
        "incomplete",
        "problems",
        "notes",
    ]


def test_one_without_its_version_is_rebased(volfs: Command, place: Path) -> None:
    session = strand(volfs, place)
    refused = volfs("overlays", "rebase", session, "--onto", "head", status=1)
    assert "needed: lost: bytes 3-50000 are missing" in refused.err
    assert "--leave-out rebases the others" in refused.err
    (row,) = volfs("overlays", "--json").json
    assert row["state"] == "stranded"
    assert "version 2, on which it stands, is not in this store" in row["problem"]
    for verb, *more in (("commit",), ("adopt", place)):
        told = volfs("overlays", verb, row["name"], *more, status=1).err
        assert f"volfs overlays export {row['name']} DIRECTORY" in told
    told = volfs("mount", "v", place, status=1).err
    assert f"volfs overlays rebase {row['name']} --onto head" in told
    said = volfs("overlays", "rebase", row["name"], "--onto", "1", "--leave-out", "--json").json
    assert (said["version"], said["merged"], said["left_out"][0]["path"]) == (1, False, "lost")
    assert volfs("overlays", "commit", row["name"], "--json").json["version"] == 2
    assert volfs("ls", "v").lines == ["new", "old"]
    (rest,) = volfs("overlays", "--json").json
    assert rest["name"] == said["rest"]
    assert "overlays discard" in volfs("overlays", "discard", session, status=1).err
    volfs("overlays", "discard", rest["name"])
    assert Path(session).is_dir()
