"""S1, "Modal Storage: Volumes, Dict, Queue, and CloudBucketMount"."""

from __future__ import annotations

import pytest

import volfs as modal
from tests.spec.setting import Setting, Shell


@pytest.mark.block(17, "as written")
def test_a_volume_by_name(setting: Setting) -> None:
    """Nothing is made before the first use, and then the volume"""
    setting.run(17)
    assert modal.Volume.objects.list() == []
    setting["vol"].hydrate()
    assert [volume.name for volume in modal.Volume.objects.list()] == ["my-volume"]


@pytest.mark.block(20, "as written")
def test_volume_commands(shell: Shell, setting: Setting) -> None:
    """create, list, put work; get finds its output there; ls and rm look where nothing is"""
    setting.write("local_file.txt", "mine")
    assert [done.status for done in shell.run(20)] == [0, 0, 0, 2, 1, 1]
    assert shell.call("modal volume ls my-vol /remote/path").out == "remote/path/file.txt\n"
    (setting.directory / "local_file.txt").unlink()
    assert shell.call("modal volume get my-vol /remote/path/file.txt local_file.txt").status == 0
    assert (setting.directory / "local_file.txt").read_text() == "mine"


@pytest.mark.block(22, "as written, beyond Modal")
def test_dict(setting: Setting) -> None:
    """Set, get, look, delete; `ttl=` is kept to"""
    setting.run(22)
    assert setting["value"] == "value"
    assert "key" not in setting["d"]


@pytest.mark.block(29, "as written")
def test_secret_commands(shell: Shell) -> None:
    """Both are made; the value is split off at the first `=`"""
    aws, gcp = shell.run(29)
    assert "'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'" in aws.out
    assert "the key 'GOOGLE_APPLICATION_CREDENTIALS_JSON'" in gcp.out
    assert (aws.status, gcp.status) == (0, 0)
