"""S0, "Storage Reference"."""

from __future__ import annotations

from pathlib import Path

import pytest

import volfs as modal
from tests.spec.setting import Setting, Shell


@pytest.mark.block(3, "as written")
def test_volume_commands(shell: Shell, directory: Path) -> None:
    """All commands; a directory comes back below one that is there; rm of nothing fails"""
    modal.Volume.objects.create("other")
    (directory / "local").mkdir()
    (directory / "local" / "a.txt").write_text("a")
    listed, created, contents, put, get, rm = shell.run(3)
    assert [done.status for done in (listed, created, contents, put, get)] == [0] * 5
    assert (directory / "local" / "remote" / "a.txt").read_text() == "a"
    assert (rm.status, rm.err) == (1, "volfs: rm: path: no such file or directory\n")
    assert [done.status for done in shell.run(3)] == [0, 1, 0, 2, 2, 1]


def test_volume_commands_with_a_file(shell: Shell, directory: Path) -> None:
    modal.Volume.objects.create("other")
    (directory / "local").write_text("old")
    assert [done.status for done in shell.run(3)] == [0, 0, 0, 0, 2, 1]
    assert shell.call("modal volume get my-vol remote - ").out == "old"


@pytest.mark.block(5, "as written")
def test_secret_commands(shell: Shell) -> None:
    """Both are made, once; the shell's variable is in the second"""
    shell.environment["PGPASS"] = "from the shell"
    assert [done.status for done in shell.run(5)] == [0, 0]
    assert [done.status for done in shell.run(5)] == [1, 1]
    secret = modal.Secret.from_name("db-creds", required_keys=["PGHOST", "PGUSER", "PGPASS"])
    secret.hydrate()


@pytest.mark.block(6, "as written")
def test_a_secret_is_made(setting: Setting) -> None:
    """Made; the second time it exists already"""
    setting.run(6)
    assert [secret.name for secret in modal.Secret.objects.list()] == ["my-secret"]
    with pytest.raises(modal.exception.AlreadyExistsError, match="my-secret"):
        setting.run(6)


@pytest.mark.block(13, "as on Modal")
def test_a_bucket_said_to_be_of_gcs(setting: Setting) -> None:
    """Taken, but without an endpoint it is a bucket of S3"""
    setting.run(13)
    assert setting["bucket"].bucket_type == "s3"
