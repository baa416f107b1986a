"""Services that refuse, freeze or die under a mount: errors in time, and all is well afterwards."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.bucket_servers import run_server
from tests.harness.fault_proxy import Fault, FaultProxy, proxied
from tests.harness.mounted import Mounted, wait_until
from tests.harness.servers import SeaweedServer, Server
from volfs.daemon.buckets import leftovers

pytestmark = pytest.mark.fuse
DEADLINE = 2.0
SLACK = 40.0
"""Seconds that a loaded machine may take in addition. They are far fewer than a hang would."""
BIG = os.urandom(3 << 20)


def try_all(path: Path, number: int) -> dict[str, str]:
    """Do at the same time what programs do; each error by its name, and ``slow`` if it came too
    late."""
    actions: dict[str, Callable[[], object]] = {
        "ls": lambda: os.listdir(path / "d"),
        "stat": lambda: (path / f"none{number}").exists(),
        "read": lambda: (path / "cold").read_bytes(),
        "write": lambda: (path / "new").write_bytes(b"new %d" % number),
        "overwrite": lambda: (path / "over").write_bytes(b"over %d" % number),
        "append": lambda: append(path / "big", b"more"),
        "mkdir": lambda: (path / f"dir{number}").mkdir(),
        "unlink": lambda: (path / "gone").unlink(),
        "rename": lambda: (path / "from").rename(path / "to"),
    }
    with ThreadPoolExecutor(len(actions)) as pool:
        return dict(zip(actions, pool.map(try_one, actions.values()), strict=True))


def try_one(action: Callable[[], object]) -> str:
    began = time.monotonic()
    try:
        action()
        said = ""
    except OSError as error:
        said = errno.errorcode[error.errno or 0]
    return "slow" if time.monotonic() - began > 2 * DEADLINE + SLACK else said


def append(path: Path, data: bytes) -> None:
    with path.open("ab", buffering=0) as file:
        file.write(data)


FILES = {"d/x": b"x", "cold": BIG, "over": b"o", "big": BIG, "gone": b"g", "from": b"f"}


def check_well(mounts: BucketMounts, mounted: Mounted) -> None:
    """The daemon lives, and does all that it could not do."""
    path = mounted.path
    wait_until(lambda: try_one(lambda: os.listdir(path / "d")) == "", "the mount to be well")
    wait_until(lambda: mounted.status().bucket.unreachable_since_ns is None, "the status")
    with suppress(FileNotFoundError, FileExistsError):  # requests may have been carried out
        (path / "from").rename(path / "to")
    assert (path / "cold").read_bytes() == BIG
    (path / "after").write_bytes(b"after")
    append(path / "big", b"end")
    assert bytes(mounts.bucket.get("after")[1]) == b"after"
    found = bytes(mounts.bucket.get("big")[1])
    assert found.startswith(BIG)
    assert found.endswith(b"end")
    assert mounts.bucket.get("to")[1] == b"f"
    assert mounts.bucket.list_leftovers() == []
    for left in leftovers.list_left():
        assert left.state == "dead"
        leftovers.discard_left(left.name)


@pytest.fixture
def proxy(mounts: BucketMounts) -> Iterator[FaultProxy]:
    with proxied(mounts.server.endpoint, seed=11) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("fault", "details"),
    [
        (Fault.STATUS, {"status": 503, "code": "SlowDown"}),
        (Fault.STALL, {}),
        (Fault.LOSE, {}),
    ],
    ids=["503", "stalled", "lost"],
)
def test_a_service_that_fails_for_long(
    mounts: BucketMounts, proxy: FaultProxy, fault: Fault, details: dict[str, object]
) -> None:
    """Everything fails with EIO within the deadline, and quickly while that lasts."""
    mounts.mounts.expect("")
    mounts.fill(FILES)
    plan = mounts.plan(endpoint=proxy.endpoint, deadline=DEADLINE, metadata_ttl=0.0)
    mounted = mounts.mount(plan=plan)
    assert os.listdir(mounted.path / "d") == ["x"]
    proxy.add(fault, **details)
    for number in range(2):
        said = try_all(mounted.path, number)
        assert set(said.values()) <= {"EIO", "EEXIST", "ENOENT"}, said
        assert said["ls"] == said["read"] == said["write"] == said["append"] == "EIO", said
    assert mounted.status().bucket.unreachable_since_ns is not None
    proxy.clear()
    check_well(mounts, mounted)


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may be frozen and killed."""
    yield from run_server(SeaweedServer, tmp_path_factory)


def test_a_server_that_freezes_and_dies(
    own_server: SeaweedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = BucketMounts(tmp_path, own_server)
    for name in ("VOLFS_RUNTIME_DIR", "VOLFS_STATE_DIR", "VOLFS_CACHE_DIR"):
        monkeypatch.setenv(name, mounts.mounts.environment[name])
    try:
        mounts.mounts.expect("")
        mounts.fill(FILES)
        mounted = mounts.mount(plan=mounts.plan(deadline=DEADLINE, metadata_ttl=0.0))
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            said = try_all(mounted.path, 0)
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        assert said["ls"] == said["read"] == said["write"] == said["append"] == "EIO", said
        wait_until(lambda: try_one(lambda: os.listdir(mounted.path / "d")) == "", "to be well")
        with (mounted.path / "open").open("wb") as file:  # open while the server is away
            file.write(b"open")
            own_server.close()
            said = try_all(mounted.path, 1)
            assert said["ls"] == said["write"] == "EIO", said
            own_server.start_again("/healthz")
            # A server that lists does not write at once.
            probe = mounted.path / "probe"
            wait_until(lambda: try_one(lambda: probe.write_bytes(b"1")) == "", "well again")
        assert mounts.bucket.get("open")[1] == b"open"
        check_well(mounts, mounted)
    finally:
        mounts.close()
