"""push, pull, export and import from the command line, and deaths in the middle of them."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.volume.shortcuts import noise


@pytest.fixture
def model(volfs: Command, tmp_path: Path) -> str:
    """A volume with two versions and a tag."""
    path = tmp_path / "content"
    volfs("create", "model")
    for number in range(2):
        path.write_bytes(noise(300_000, number))
        volfs("put", "--force", "model", path, "weights")
    volfs("tag", "model", "good")
    return "model"


@pytest.fixture
def there(tmp_path: Path) -> str:
    return str(tmp_path / "there")


def test_push_and_pull(volfs: Command, model: str, there: str, tmp_path: Path) -> None:
    pushed = volfs("push", model, "--to", there, "--json").json
    assert (pushed["versions"], pushed["tags"], pushed["store"]) == ([1, 2], ["good"], there)
    assert volfs("push", model, "--to", there).lines == [
        f"'model' in {there} is up to date, at version 2."
    ]
    assert volfs("--store", there, "check", "--read-data").lines[-1].endswith("no problems.")
    assert volfs("--store", there, "get", model, "weights", "-").out == noise(300_000, 1)
    (tmp_path / "content").write_bytes(b"theirs")
    volfs("--store", there, "put", "--force", model, tmp_path / "content", "weights")
    assert volfs("pull", model, "--from", there).lines[0].startswith("Pulled version 3 of 'model'")
    assert volfs("get", model, "weights", "-").out == b"theirs"
    assert (
        volfs("log", model, "--json").json == volfs("--store", there, "log", model, "--json").json
    )


def test_a_new_copy_under_another_name(volfs: Command, model: str, there: str) -> None:
    volfs("push", model, "--to", there, "--as", "prod/copy", "--newest")
    assert [v["version"] for v in volfs("--store", there, "log", "prod/copy", "--json").json] == [2]
    assert volfs("pull", "prod/copy", "--from", there, "--json").json["volume"] == "model"


def test_export_and_import(volfs: Command, model: str, there: str, tmp_path: Path) -> None:
    file = tmp_path / "model.volfs"
    said = volfs("export", model, file, "--json").json
    assert (said["versions"], said["bytes"]) == ([1, 2], file.stat().st_size)
    assert volfs("export", model, file, status=2).err.endswith("export --help\n")
    imported = volfs("--store", there, "import", file, "--json").json
    assert (imported["versions"], imported["tags"]) == ([1, 2], ["good"])
    assert volfs("export", model, "-", "--since", "1").out[:11] == b"volume.json"
    assert list(tmp_path.glob(".volfs-*")) == [], "no file is left beside it"


def test_export_never_replaces_what_is_no_file(volfs: Command, model: str, tmp_path: Path) -> None:
    device, pipe, directory = tmp_path / "null", tmp_path / "pipe", tmp_path / "directory"
    os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    os.mkfifo(pipe)
    directory.mkdir()
    with (tmp_path / "read").open("wb") as file, subprocess.Popen(["cat", pipe], stdout=file):
        volfs("export", model, pipe)
    assert (tmp_path / "read").read_bytes()[:11] == b"volume.json"
    volfs("export", "--force", model, device)
    assert "is no file" in volfs("export", "--force", model, directory, status=2).err
    assert "No space left" in volfs("export", model, "/dev/full", status=1).err
    assert pipe.is_fifo()
    assert device.is_char_device()
    assert Path("/dev/full").is_char_device()


def test_export_force_keeps_a_link(volfs: Command, model: str, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    volfs("export", "--force", model, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes()[:11] == b"volume.json"


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (["push", "none", "--to", "{there}"], 1, "no such volume"),
        (["push", "model"], 2, "Missing option '--to'"),
        (["push", "model", "--to", "{here}"], 2, "the store of the volume itself"),
        (["push", "model", "--to", "{here}/../store"], 2, "the store of the volume itself"),
        (["push", "model", "--to", "{there}", "--as", "a b"], 2, "invalid volume name"),
        (["push", "model", "--to", "/dev/null/x"], 1, "/dev/null/x"),
        (["push", "model", "--to", ""], 1, "no directory is named"),
        (["pull", "model", "--from", "{there}"], 1, "no store at"),
        (["export", "model", "/nowhere/x"], 1, "/nowhere/x: No such file"),
        (["export", "model", "x", "--since", "7"], 1, "no version 7"),
        (["export", "model", "x", "--since", "head"], 2, "no version comes after 2"),
        (["export", "model", "-", "--json"], 2, "would both go to stdout"),
        (["import", "/nowhere"], 1, "/nowhere: No such file"),
        (["import", "/dev/null"], 1, "no whole tar"),
        (["import", "/"], 1, "Is a directory"),
    ],
)
def test_errors(
    volfs: Command, model: str, there: str, arguments: list[str], status: int, error: str
) -> None:
    said = [word.format(there=there, here=volfs.store) for word in arguments]
    assert error in volfs(*said, status=status).err


@pytest.mark.parametrize("verb", ["push", "pull", "import"])
@pytest.mark.parametrize("point", ["publish.appended", "publish.durable", "publish.moved"])
def test_a_death_leaves_whole_versions_and_it_goes_on(
    volfs: Command, model: str, there: str, tmp_path: Path, verb: str, point: str
) -> None:
    file = tmp_path / "model.volfs"
    volfs("export", model, file)
    commands = {
        "push": ["push", model, "--to", there],
        "pull": ["--store", there, "pull", model, "--from", str(volfs.store)],
        "import": ["--store", there, "import", str(file)],
    }
    volfs(*commands[verb], status=-9, VOLFS_FAULT=f"{point}:2:kill")
    if os.path.exists(there):
        assert volfs("--store", there, "check", "--read-data").lines[-1].endswith("no problems.")
    volfs(*commands[verb])
    assert volfs("--store", there, "get", model, "weights", "-").out == noise(300_000, 1)
    assert (
        volfs("log", model, "--json").json == volfs("--store", there, "log", model, "--json").json
    )
