"""A plugin at a socket of its own, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.docker.plugins import Plugin, make_command
from volfs.control.mounts import FS_TYPE, list_mount_points


@pytest.fixture
def volfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    command = make_command(tmp_path)
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", command.environment["VOLFS_RUNTIME_DIR"])
    yield command
    own = [m for m in list_mount_points() if m.path.startswith(f"{tmp_path}/")]
    left = [mount.path for mount in own if mount.fs_type == FS_TYPE]
    for path in left:
        command("umount", "--discard", path)
    assert not left
    if command.store.exists():
        command("check")


@pytest.fixture
def plugin(volfs: Command, tmp_path: Path) -> Iterator[Plugin]:
    plugin = Plugin(volfs, tmp_path / "plugins" / "volfs.sock")
    yield plugin
    if plugin.process is not None and plugin.process.poll() is None:
        plugin.stop()
