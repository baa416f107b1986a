"""The plugin by its protocol, without Docker."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.docker.plugins import Plugin
from tests.harness.mounted import is_running, wait_until
from volfs.control.mount_client import get_mount

pytestmark = pytest.mark.fuse
ONE, TWO = "1" * 64, "2" * 64


def mount(plugin: Plugin, name: str = "data", mount_id: str = ONE) -> Path:
    return Path(plugin.ask("Mount", Name=name, ID=mount_id)["Mountpoint"])


def unmount(plugin: Plugin, name: str = "data", mount_id: str = ONE) -> None:
    plugin.ask("Unmount", Name=name, ID=mount_id)


def test_each_mount_has_its_own_overlay_and_commit(volfs: Command, plugin: Plugin) -> None:
    assert plugin.send("/Plugin.Activate", b"")["Implements"] == ["VolumeDriver"]
    assert plugin.ask("Capabilities")["Capabilities"] == {"Scope": "local"}
    assert stat.S_IMODE(plugin.path.stat().st_mode) == 0o600
    plugin.ask("Create", Name="data", Opts={"auto_commit": "0"})
    plugin.ask("Create", Name="data", Opts={"auto_commit": "0"})
    assert "other options" in plugin.refuse("Create", Name="data", Opts={})
    with ThreadPoolExecutor() as threads:  # Docker starts containers at the same time.
        one, two = threads.map(lambda it: mount(plugin, mount_id=it), (ONE, TWO))
    (one / "one").write_text("1")
    (two / "two").write_text("2")
    assert (os.listdir(one), os.listdir(two)) == (["one"], ["two"])
    state = plugin.ask("Get", Name="data")["Volume"]["Status"]
    assert (state["volume"], state["mounts"]) == ("data", {ONE: 1, TWO: 1})
    assert plugin.ask("Path", Name="data")["Mountpoint"] in (str(one), str(two))
    assert "mounted for a container" in plugin.refuse("Remove", Name="data")
    # docker cp asks for the mount of a running container, whose namespace has the mount, too.
    assert mount(plugin) == one
    with _bound(one, volfs.directory / "container"):
        unmount(plugin)
        assert (one / "one").read_text() == "1"
    unmount(plugin)
    assert volfs("ls", "data").out == b"one\n"
    unmount(plugin, mount_id=TWO)
    assert volfs("ls", "data").lines == ["one", "two"]
    assert "docker: data, mount 2222" in volfs("log", "data").out.decode()
    assert plugin.ask("List")["Volumes"][0]["Name"] == "data"
    unmount(plugin)  # Nothing is mounted for this id any more: Docker need not be told.
    plugin.ask("Remove", Name="data")
    assert plugin.ask("List")["Volumes"] == []
    assert volfs("list").out == b""


@contextmanager
def _bound(source: Path, place: Path) -> Iterator[None]:
    """A bind mount, as a container has one."""
    place.mkdir()
    subprocess.run(["mount", "--bind", source, place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def test_mounts_outlive_the_plugin(volfs: Command, plugin: Plugin) -> None:
    plugin.ask("Create", Name="data", Opts={"auto_commit": "0"})
    one = mount(plugin)
    (one / "before").write_text("kept")
    plugin.stop(signal.SIGKILL)
    (one / "while").write_text("away")
    plugin.start()
    assert plugin.ask("Get", Name="data")["Volume"]["Status"]["mounts"] == {ONE: 1}
    # It had mounted, and died before it could answer: it has counted one too many.
    mount(plugin)
    unmount(plugin)
    assert volfs("ls", "data").lines == ["before", "while"]
    # The daemon of a mount dies: the error says so, and the container's next start goes on.
    one = mount(plugin)
    (one / "fsynced").write_text("kept")
    descriptor = os.open(one / "fsynced", os.O_RDWR)
    os.fsync(descriptor)
    pid = get_mount(str(one)).status().pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pid), "the daemon's end")
    os.close(descriptor)
    assert "had died" in plugin.refuse("Unmount", Name="data", ID=ONE)
    (left,) = plugin.ask("Get", Name="data")["Volume"]["Status"]["uncommitted"]
    assert left in volfs("overlays").out.decode()
    assert (mount(plugin) / "fsynced").read_text() == "kept"
    assert plugin.stop() == 0
    assert not plugin.path.exists()
    plugin.start()
    unmount(plugin)
    assert volfs("ls", "data").lines == ["before", "fsynced", "while"]


def test_versions_parts_and_scratch(volfs: Command, plugin: Plugin) -> None:
    (volfs.directory / "file").write_text("old")
    volfs("create", "model", "--version", "1")
    volfs("put", "model", "file", "d/file")
    volfs("tag", "model", "first")
    volfs("rm", "model", "d/file")
    plugin.ask("Create", Name="old", Opts={"volume": "model", "at": "first"})
    plugin.ask("Create", Name="part", Opts={"volume": "model", "sub_path": "d", "ro": ""})
    plugin.ask("Create", Name="scratch", Opts={"volume": "model", "commit": "never"})
    old, part, scratch = (mount(plugin, name) for name in ("old", "part", "scratch"))
    assert (old / "d" / "file").read_text() == "old"
    assert os.listdir(part) == []
    for place in (old, part):
        with pytest.raises(OSError, match="Read-only"):
            (place / "new").touch()
    (scratch / "new").touch()
    for name in ("old", "part", "scratch"):
        unmount(plugin, name)
        plugin.ask("Remove", Name=name)
    # The plugin has not created it, and does not delete it.
    assert volfs("list", "--json").json[0]["name"] == "model"
    assert volfs("ls", "model", "d").out == b""
    plugin.ask("Create", Name="model", Opts={})
    plugin.ask("Remove", Name="model")
    plugin.ask("Create", Name="made", Opts={"keep": "true"})
    plugin.ask("Remove", Name="made")
    assert {row["name"] for row in volfs("list", "--json").json} == {"made", "model"}


def test_a_user_of_docker_can_read_what_is_wrong(volfs: Command, plugin: Plugin) -> None:
    assert "no volume x" in plugin.refuse("Get", Name="x")
    assert "no volume x" in plugin.refuse("Mount", Name="x", ID=ONE)
    assert "invalid name" in plugin.refuse("Mount", Name="../x", ID=ONE)
    volfs("create", "real")
    assert "no volume x" in plugin.refuse("Create", Name="x", Opts={"volume": "x"})
    assert "no version" in plugin.refuse("Create", Name="x", Opts={"volume": "real", "at": "9"})
    assert "did you mean" in plugin.refuse("Create", Name="x", Opts={"autocommit": "5"})
    assert "-o volume=NAME" in plugin.refuse("Create", Name="x" * 65, Opts={})
    assert "version 2" in plugin.refuse("Create", Name="real", Opts={"version": "1"})
    plugin.ask("Create", Name="x" * 65, Opts={"volume": "real"})
    plugin.ask("Remove", Name="x" * 65)
    for body in (b"{", b"[]", b'{"Name": 1}', b"\xff", b"[" * 100_000, b" " * (1 << 21)):
        assert plugin.send("/VolumeDriver.Get", body)["Err"].startswith("volfs: ")
    assert "no such request" in plugin.send("/VolumeDriver.Fly", b"{}")["Err"]
    assert "no such request" in plugin.send("/VolumeDriver.List", b"", "GET")["Err"]
    # A second plugin: of the same name, and at the same socket.
    second = volfs("docker", "serve", "--socket", plugin.path, status=1)
    assert second.err.startswith("volfs: docker serve: another plugin named volfs is running")
    run = str(volfs.directory / "other")
    second = volfs("docker", "serve", "--socket", plugin.path, status=1, VOLFS_RUNTIME_DIR=run)
    assert "another plugin listens there" in second.err
    # The store goes away, and comes back.
    plugin.ask("Create", Name="data", Opts={"auto_commit": "0"})
    (mount(plugin) / "work").write_text("hours")
    away = volfs.store.rename(volfs.directory / "away")
    assert str(volfs.store) in plugin.refuse("Create", Name="new", Opts={"volume": "data"})
    said = plugin.refuse("Mount", Name="data", ID=TWO)
    assert str(volfs.store) in said
    said = plugin.refuse("Unmount", Name="data", ID=ONE)
    assert "not committed" in said
    assert "volfs overlays commit" in said
    assert plugin.ask("List")["Volumes"][0]["Name"] == "data"
    away.rename(volfs.store)
    (left,) = plugin.ask("Get", Name="data")["Volume"]["Status"]["uncommitted"]
    assert left in plugin.refuse("Remove", Name="data")
    assert (mount(plugin) / "work").read_text() == "hours"
    unmount(plugin)
    assert volfs("get", "data", "work", "-").out == b"hours"


def test_two_plugins_have_two_stores(volfs: Command, plugin: Plugin, tmp_path: Path) -> None:
    store = tmp_path / "second"
    second = Plugin(
        volfs, tmp_path / "plugins" / "archive.sock", "--store", str(store), "-e", "dev"
    )
    try:
        for one in (plugin, second):
            one.ask("Create", Name="data", Opts={})
            (mount(one) / "name").write_text(one.name)
            unmount(one)
    finally:
        second.stop()
    assert volfs("get", "data", "name", "-").out == b"volfs"
    assert volfs("--store", store, "get", "dev/data", "name", "-").out == b"archive"
