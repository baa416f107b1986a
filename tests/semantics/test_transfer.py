"""The sentences about put and get, as users type them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import volfs as api
from tests.cli.conftest import Command
from tests.harness.store_places import choose_place

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes devices, gives links away")


@pytest.fixture
def volfs(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    """The command, on a store with the volume ``v``, which has a file ``f``."""
    command = Command(tmp_path, choose_place(request, tmp_path))
    command("create", "v")
    command("put", "v", "-", "f", stdin=b"content")
    return command


def test_links(volfs: Command, tmp_path: Path) -> None:
    """What ``put`` is given may be a symlink. Below it no symlink is followed."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d/file").write_text("x")
    (tmp_path / "d/link").symlink_to("/etc")
    (tmp_path / "top").symlink_to("d")
    volfs("put", "v", tmp_path / "top", "/top")
    rows = {row["filename"]: row["type"] for row in volfs("ls", "v", "/top", "--json").json}
    assert rows == {"top/file": "file", "top/link": "link"}


def test_sizes(volfs: Command) -> None:
    """``put`` reads a file to its end; pipes too; a device is refused, but for /dev/null."""
    volfs("put", "v", "/proc/filesystems", "/p")
    assert volfs("get", "v", "/p", "-").out == Path("/proc/filesystems").read_bytes()
    volfs("put", "v", "/dev/stdin", "/s", stdin=b"piped")
    assert volfs("get", "v", "/s", "-").out == b"piped"
    volfs("put", "v", "/dev/null", "/n")
    assert "a device" in volfs("put", "v", "/dev/zero", "/z", status=1).err


def test_what_is_skipped(volfs: Command, tmp_path: Path) -> None:
    """Fifos, sockets and devices in a directory that is put are skipped, and not opened."""
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "d/fifo")
    assert "skipped" in volfs("put", "v", tmp_path / "d", "/d").err
    assert volfs("ls", "v", "/d").lines == []


def test_devices(volfs: Command, tmp_path: Path) -> None:
    """``get`` writes into a device that it is given; below a directory it replaces none."""
    (tmp_path / "out").mkdir()
    node = tmp_path / "out/f"
    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    volfs("get", "v", "f", node, "--force")
    assert stat.S_ISCHR(node.stat().st_mode)
    assert "a device" in volfs("get", "v", "/", tmp_path / "out", "--force", status=1).err
    assert stat.S_ISCHR(node.stat().st_mode)


def test_descriptors(volfs: Command) -> None:
    """``get`` to /dev/stdout or /dev/fd/N writes to that descriptor."""
    assert volfs("get", "v", "f", "/dev/stdout").out == b"content"
    assert volfs("get", "v", "f", "/dev/fd/1").out == b"content"


def test_the_store(volfs: Command, tmp_path: Path) -> None:
    """Nothing is put from the store's own directory, nor got into it."""
    assert "the store itself" in volfs("put", "v", volfs.store, "/s", status=1).err
    assert "the store itself" in volfs("get", "v", "f", volfs.store / "new", status=1).err
    assert not (volfs.store / "new").exists()


def test_links_of_others(volfs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``batch_upload`` follows a symlink only if it belongs to who runs it, or to root."""
    monkeypatch.setenv("VOLFS_STORE", str(volfs.store))
    (tmp_path / "d").mkdir()
    (tmp_path / "d/link").symlink_to("/etc/hostname")
    volume = api.Volume.from_name("v")
    with volume.batch_upload() as batch:
        batch.put_directory(tmp_path / "d", "/mine")
    assert [entry.path for entry in volume.listdir("/mine")] == ["mine/link"]
    os.chown(tmp_path / "d/link", 12345, 12345, follow_symlinks=False)
    with pytest.raises(PermissionError), volume.batch_upload() as batch:
        batch.put_directory(tmp_path / "d", "/theirs")


def test_depth(volfs: Command, tmp_path: Path) -> None:
    """No depth of directories is too much."""
    top = tmp_path / "deep"
    here = os.open(tmp_path, os.O_RDONLY)
    for name in ("deep", *["d"] * 1500):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    volfs("put", "v", top, "/deep")
    volfs("cp", "v", "-r", "/deep", "/copy")
    volfs("get", "v", "/copy", tmp_path / "out")
    volfs("rm", "v", "-r", "/deep")
    for left in (top, tmp_path / "out"):
        os.spawnlp(os.P_WAIT, "rm", "rm", "-rf", left)
        assert not left.exists()


@pytest.mark.parametrize("name", [".", ".."])
def test_names(volfs: Command, name: str) -> None:
    """No volume, tag, Dict, Queue or Secret is called so."""
    for made in (("create",), ("tag", "v"), ("dict", "create"), ("queue", "create")):
        volfs(*made, name, status=2)
    volfs("secret", "create", name, "A=b", status=2)
