"""S4, "Modal Volumes"."""

from __future__ import annotations

import pytest

import volfs as modal
from tests.spec.setting import Setting, Shell


@pytest.mark.block(59, "as written")
def test_volumes_are_created(shell: Shell) -> None:
    """The first is made; the second has its name, so it is told that it exists"""
    first, second = shell.run(59)
    assert (first.status, second.status) == (0, 1)
    assert "my-volume: already exists" in second.err
    assert shell.call("modal volume delete -y my-volume").status == 0
    assert shell.call(second.command).status == 0


@pytest.mark.block(60, "as written")
def test_a_volume_by_name(setting: Setting) -> None:
    """The volume is made at its first use"""
    setting.run(60)
    assert modal.Volume.objects.list() == []
    setting["volume"].hydrate()
    assert [volume.name for volume in modal.Volume.objects.list()] == ["my-volume"]


@pytest.mark.block(68, "as written")
def test_volume_commands(shell: Shell, setting: Setting) -> None:
    """ls, get and put, with relative paths; delete wants a terminal or `-y`"""
    setting.write("local/file.txt", "mine")
    for command in (
        "modal volume create my-volume",
        "modal volume put my-volume local/file.txt remote/path.txt",
    ):
        assert shell.call(command).status == 0
    ls, get, put, delete = shell.run(68)
    assert (ls.status, get.status, put.status) == (0, 0, 0)
    assert ls.out == "remote\n"
    assert (setting.directory / "local" / "path.txt").read_text() == "mine"
    assert shell.call("modal volume get my-volume remote/file.txt -").out == "mine"
    assert delete.status == 1
    assert "Rerun with --yes (-y)" in delete.err
    assert shell.call(f"{delete.command} -y").status == 0
    assert modal.Volume.objects.list() == []
