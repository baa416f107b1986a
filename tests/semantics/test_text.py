"""The contract's sentences about text of any bytes, and about requests that fail."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.harness.mounted import Mounts
from volfs.errors import VolumeBusyError
from volfs.model.text import to_text

pytestmark = pytest.mark.fuse
NAME = b"caf\xe9\n\x1b[2J"


@pytest.fixture
def volfs(mounts: Mounts) -> Command:
    """The command, on the store of ``mounts``."""
    return Command(mounts.directory, mounts.bucket)


def test_any_bytes_are_kept(mounts: Mounts, volfs: Command) -> None:
    """Mount points and messages may have any bytes but NUL, and ``--json`` gives them back."""
    mounted = mounts.mount(mounts.place(to_text(NAME)))
    (mounted.path / "f").touch()
    volfs("commit", mounted.path, "-m", NAME)
    status = volfs("status", mounted.path, "--json").json[0]
    assert os.path.basename(os.fsencode(status["mountpoint"])) == NAME
    assert os.fsencode(volfs("log", "data", "--json").json[0]["message"]) == NAME


def test_nothing_is_shown_as_it_is(mounts: Mounts, volfs: Command) -> None:
    """What does not print is shown escaped, and makes no other row."""
    mounted = mounts.mount(mounts.place(to_text(NAME)))
    (mounted.path / to_text(NAME)).touch()
    mounted.commit(to_text(NAME))
    shown = r"caf\xe9\n\x1b[2J"
    assert volfs("diff", "data", "0").lines == [f"A {shown}"]
    (line,) = volfs("status", mounted.path).lines
    assert f"/{shown}\t" in line
    (line,) = volfs("log", "data").lines
    assert line.replace("\t", "").isprintable()
    missing = volfs("get", "data", NAME + b"x", status=1).err
    assert shown in missing
    assert "\x1b" not in missing


def test_one_request_ends_no_daemon(mounts: Mounts) -> None:
    """What one client asks does not end the daemon."""
    mounted, other = mounts.mount(), mounts.mount()
    path = Path(mounted.path, to_text(NAME))
    path.touch()
    mounted.commit()
    (other.path / "g").touch()
    other.commit()
    with path.open("rb"), pytest.raises(VolumeBusyError) as caught:
        mounted.reload()
    assert str(caught.value).isprintable()
    for nonsense in (b"", b"\0\0\0\2{}", b"\xff" * 100):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.fspath(mounted.client.mount.socket))
            connection.sendall(nonsense)
    assert mounted.status().pid == mounted.pid
