"""The contract's sentences about the command line, as users type it, over real mounts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from tests.cli.conftest import Command
from tests.harness.mounted import Mounts
from volfs_cli.main import cli

pytestmark = pytest.mark.fuse
VERBS = [
    "create", "list", "delete", "rename", "info", "ls", "get", "put", "cp", "mv", "rm", "mount",
    "umount", "commit", "reload", "status", "log", "check",
]  # fmt: skip


@pytest.fixture
def volfs(mounts: Mounts) -> Command:
    """The command, on the store of ``mounts``."""
    return Command(mounts.directory, mounts.bucket)


@pytest.fixture
def place(mounts: Mounts, volfs: Command) -> Path:
    """Where ``data`` is mounted by the command; the fixture of mounts ends it."""
    place = mounts.place()
    volfs("mount", "data", place)
    mounts.adopt(place)
    return place


def test_verbs() -> None:
    """``volfs VERB`` for volumes; ``volfs volume VERB`` is the same."""
    volume = cli.commands["volume"]
    assert isinstance(volume, click.Group)
    for verb in VERBS:
        assert volume.commands[verb] is cli.commands[verb]


def test_scripts_for_modal(volfs: Command, tmp_path: Path) -> None:
    """A script's ``modal volume …`` becomes ``volfs volume …`` unchanged."""
    (tmp_path / "f").write_text("content")
    script = f"""
volfs volume create --version 2 models
volfs volume put models {tmp_path}/f /d/f
volfs volume ls models /d --json
volfs volume cp models /d/f /copy
volfs volume get models /copy {tmp_path}/back
volfs volume rm -r models /d
volfs volume rename --yes models old
volfs volume delete --yes old
"""
    program = tmp_path / "volfs"
    program.write_text(f'#!/bin/sh\nexec {" ".join(volfs.argv)} "$@"\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(
        ["sh", "-e"],
        input=script.encode(),
        env=volfs.environment | {"PATH": path},
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "back").read_text() == "content"


@pytest.mark.anywhere
def test_without_a_mount(mounts: Mounts, volfs: Command, tmp_path: Path) -> None:
    """``ls get put cp mv rm`` act on the committed state; each change is one atomic version."""
    mounted = mounts.mount()
    (mounted.path / "uncommitted").touch()
    (tmp_path / "f").write_text("content")
    changes = [("put", tmp_path / "f", "f"), ("cp", "f", "g"), ("mv", "g", "h"), ("rm", "f")]
    for version, (verb, *names) in enumerate(changes, 1):
        volfs(verb, "data", *names)
        assert mounts.version == version
    assert volfs("ls", "data").lines == ["h"]
    assert volfs("get", "data", "h", "-").out == b"content"
    assert mounts.version == len(changes)
    assert os.listdir(mounted.path) == ["uncommitted"]


def test_json(volfs: Command, place: Path) -> None:
    """Every listing has ``--json``: a list of objects, keys are the columns in snake_case."""
    (place / "f").write_text("x")
    volfs("commit", place, "-m", "one")
    wanted: dict[tuple[str, ...], set[str]] = {
        ("list",): {"name", "created_at"},
        ("ls", "data"): {"filename", "size"},
        ("status",): {"volume", "mountpoint", "version", "pid", "dirty_files", "dirty_bytes"},
        ("log", "data"): {"version", "created_at", "message", "author", "files", "bytes"},
    }
    for command, keys in wanted.items():
        rows: Any = volfs(*command, "--json").json
        assert isinstance(rows, list)
        assert all(keys <= set(row) for row in rows), (command, rows)
        assert rows


def test_plain_lines(volfs: Command) -> None:
    """On a terminal tables; otherwise plain lines."""
    (line,) = volfs("list").lines
    assert line.split("\t")[0] == "data"


def test_errors(volfs: Command, place: Path) -> None:
    """Errors are one line on stderr: ``volfs: VERB: what: why``."""
    for command, text in {
        ("ls", "nobody"): "volfs: ls: nobody: no such volume; ",
        ("get", "data", "missing", "-"): "volfs: get: missing: no such file",
        ("commit", "nobody"): "volfs: commit: nobody: ",
        ("mount", "data", place): f"volfs: mount: {place}: ",
    }.items():
        result = volfs(*command, status=1)
        assert (result.out, result.err.count("\n")) == (b"", 1)
        assert result.err.startswith(text)


def test_exit_statuses(volfs: Command, place: Path) -> None:
    """Exit 0 done, 1 failed, 2 usage, 16 (``EBUSY``) for a busy reload."""
    volfs("status", place, status=0)
    volfs("reload", "nobody", status=1)
    volfs("reload", status=2)
    with (place / "f").open("w"):
        busy = volfs("reload", place, status=16)
        assert "volume busy: there are open files preventing the operation" in busy.err
    assert volfs("reload", place).out


def test_nothing_to_commit(volfs: Command, place: Path) -> None:
    """Nothing changed: no new version, exit 0, says so."""
    assert volfs("commit", place).lines == ["Nothing to commit; version 0 is the newest."]


def test_overridden(mounts: Mounts, volfs: Command, place: Path, tmp_path: Path) -> None:
    """What was overridden is reported (text, ``--json``, return value)."""
    (tmp_path / "f").write_text("theirs")
    mounts.expect("overrides theirs")
    for json in (False, True):
        volfs("put", "--force", "data", tmp_path / "f", "f")
        (place / "f").write_text(f"ours {json}")
        if json:
            (item,) = volfs("commit", place, "--json").json["overridden"]
            assert item["path"] == "f"
        else:
            assert "overridden: f: " in volfs("commit", place).out.decode()


def test_mount_and_umount(mounts: Mounts, volfs: Command) -> None:
    """``volfs mount`` returns when the mount answers; ``volfs umount`` commits and waits for it."""
    place = mounts.place()
    volfs("mount", "data", place, "--auto-commit")
    assert volfs("status", place, "--json").json[0]["auto_commit"] == 5
    (place / "f").touch()
    volfs("umount", place)
    assert not os.path.ismount(place)
    assert mounts.version >= 1
    assert volfs("ls", "data").lines == ["f"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(volfs: Command, shell: str) -> None:
    """Shell completion."""
    assert "_VOLFS_COMPLETE" in volfs("completion", shell).out.decode()


def test_the_store(volfs: Command, tmp_path: Path) -> None:
    """The store: ``--store``, ``VOLFS_STORE``, else ``/var/lib/volfs`` or below XDG_DATA_HOME."""
    other = tmp_path / "other"
    volfs("--store", other, "create", "there")
    assert volfs("--store", other, "list").lines[0].startswith("there\t")
    assert volfs("list", VOLFS_STORE=str(other)).lines[0].startswith("there\t")
    assert volfs("list").lines[0].startswith("data\t")


@pytest.mark.parametrize(
    "command", [["--colour", "list"], ["list", "--colour"], ["mount", "data", "x", "--fast"]]
)
def test_unknown_options(volfs: Command, command: list[str]) -> None:
    """Unknown options are errors."""
    assert volfs(*command, status=2).err.startswith("volfs: ")
