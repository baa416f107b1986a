"""The control socket, and whoever talks nonsense to it."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.harness.calls import run_as
from tests.harness.mounted import Mounted, Mounts
from volfs.control.daemon_wait import DaemonWait
from volfs.control.exchange import receive_answer
from volfs.control.protocol import REQUEST_MAX, CommitResult, Response, encode

pytestmark = pytest.mark.fuse


@pytest.fixture
def path(mounted: Mounted) -> Path:
    return mounted.client.mount.socket


def talk(path: Path, data: bytes, *, end: bool = False) -> Any:
    """Send bytes as they are; the answer, or None if the daemon hangs up without one."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(os.fspath(path))
        connection.sendall(data)
        if end:
            connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return json.loads(answer[4:]) if answer else None


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def test_it_is_private(mounts: Mounts, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(mounts.runtime.stat().st_mode) == 0o700


def test_what_a_mount_keeps_is_private(mounts: Mounts) -> None:
    before = os.umask(0)
    try:
        mounted = mounts.mount()
    finally:
        os.umask(before)
    (mounted.path / "f").write_bytes(b"uncommitted")
    files = [path for path in mounts.store_path.rglob("*") if "arena" in path.name]
    assert files
    found = [path for path in mounts.store_path.rglob("*") if path.stat().st_mode & 0o077]
    assert found == []


def test_another_user_is_refused_even_where_permissions_would_allow(
    mounts: Mounts, path: Path
) -> None:
    path.chmod(0o777)
    mounts.runtime.chmod(0o777)
    request = frame(b'{"verb": "status"}')
    answer = run_as(1000, mounts.runtime, lambda: talk(Path(path.name), request))
    assert "belongs to another user" in answer
    assert talk(path, frame(b'{"verb":"status"}'))["result"]["volume"] == "data"
    mounts.runtime.chmod(0o700)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (frame(b"\xff\xfe garbage"), "control message"),
        (frame(b"[" * 100_000), "control message"),
        (frame(b'{"verb": "status", "extra": 1}'), "extra"),
        (frame(b'{"verb": 7}'), "control message"),
        (frame(b'{"verb": "dance"}'), "dance"),
        (frame(b'{"verb": "commit", "on_conflict": "maybe"}'), "maybe"),
        ((REQUEST_MAX + 1).to_bytes(4, "big"), "too large"),
        (b"GET ", "too large"),
        (frame(b""), "control message"),
    ],
)
def test_nonsense_is_answered_and_changes_nothing(
    mounted: Mounted, path: Path, data: bytes, text: str
) -> None:
    assert text in talk(path, data)["error"]["message"]
    assert mounted.status().version == 0


def test_half_a_request_is_no_request(mounted: Mounted, path: Path) -> None:
    half = frame(b'{"verb": "commit"}')[:10]
    assert "cut off" in talk(path, half, end=True)["error"]["message"]
    assert "cut off" in talk(path, b"", end=True)["error"]["message"]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.fspath(path))
        connection.sendall(half)
        assert mounted.status().version == 0, "one that waits keeps nobody else waiting"


def test_a_client_that_goes_away_does_not_stop_its_commit(mounts: Mounts) -> None:
    from tests.harness.mounted import wait_until

    mounted = mounts.mount()
    (mounted.path / "f").touch()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.fspath(mounted.client.mount.socket))
        connection.sendall(frame(b'{"verb": "commit"}'))
    wait_until(lambda: mounts.version == 1, "the commit")
    assert mounted.status().dirty_files == 0


def test_a_message_too_long_for_a_version_is_refused(mounts: Mounts) -> None:
    from volfs.errors import UserError

    mounted = mounts.mount()
    (mounted.path / "f").touch()
    with pytest.raises(UserError, match="longer than"):
        mounted.commit("x" * 100_000)
    assert mounts.version == 0
    assert mounted.commit("x" * 60_000).version == 1


def test_an_answer_may_be_longer_than_any_request() -> None:
    """A commit that says what it overrode must not look like one that failed."""
    path = {"path": "d" * 100, "theirs": "modified", "ours": "modified"}
    result = CommitResult(True, 2, 1, 1, [path] * 40_000)
    data = encode(Response(result=msgspec.to_builtins(result)))
    assert len(data) > REQUEST_MAX
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sending = threading.Thread(target=theirs.sendall, args=(data,))
        sending.start()
        answer = receive_answer(ours, DaemonWait("a test", None))
        sending.join()
    assert msgspec.convert(answer.result, CommitResult) == result
