"""Whose overlay a mount takes: its own place's, in its own mount namespace, once nobody has it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.harness.mounted import Mounts, is_running, wait_until
from volfs.daemon.main import LAST_COMMIT, await_session
from volfs.daemon.mount_options import MountOptions
from volfs.daemon.sessions.open import open_session
from volfs.daemon.sessions.opened import OpenSession, SessionBusyError

IN_ANOTHER_NAMESPACE = """
import os
import sys
from pathlib import Path
from volfs.control.mount_client import get_mount
from volfs.daemon.launch import mount
from volfs.daemon.mount_options import MountOptions

store, place, name = sys.argv[1:]
mount(MountOptions(store, "data", place))
with Path(place, name).open("x") as file:
    os.fsync(file)
client = get_mount(place)
print(client.status().pid, flush=True)
if input():
    client.unmount()
"""


class NamespaceMount:
    """A mount at a path in a mount namespace of its own, with a file called ``name``."""

    def __init__(self, mounts: Mounts, place: Path, name: str) -> None:
        unshare = ["unshare", "--mount", "--propagation=private"]
        self.process = subprocess.Popen(
            [*unshare, sys.executable, "-c", IN_ANOTHER_NAMESPACE, mounts.store_path, place, name],
            env=mounts.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.pid = int(self.process.stdout.readline())

    def end(self) -> None:
        self.process.communicate("unmount\n")

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.process.communicate("\n")
        wait_until(lambda: not is_running(self.pid), "the daemon's end")


@pytest.mark.fuse
def test_mount_namespaces_have_overlays_of_their_own(mounts: Mounts) -> None:
    place = mounts.place()
    one, other = (NamespaceMount(mounts, place, name) for name in ("one", "other"))
    here = mounts.mount(place)
    (place / "here").touch()
    assert sorted(os.listdir(place)) == ["here"]
    one.end()
    assert mounts.version == 1
    other.kill()
    here.unmount()
    assert mounts.version == 2
    (left,) = mounts.sessions
    assert left.endswith(".2")
    mounts.mount(place)
    assert os.listdir(place) == ["other"]


@pytest.fixture
def options(mounts: Mounts) -> MountOptions:
    return MountOptions(mounts.store.url, "data", str(mounts.place()))


@pytest.fixture
def former(mounts: Mounts, options: MountOptions) -> Iterator[OpenSession]:
    """The session of a mount that is not there any more, and has not let go of it."""
    session = open_session(mounts.store, mounts.store.refs.get_volume("data"), options)
    yield session
    session.close()
    shutil.rmtree(session.path, ignore_errors=True)


async def test_a_mount_waits_for_the_last_commit_of_the_one_before(
    mounts: Mounts, options: MountOptions, former: OpenSession, autojump_clock: MockClock
) -> None:
    volume = mounts.store.refs.get_volume("data")
    async with trio.open_nursery() as nursery:

        async def end() -> None:
            await trio.sleep(LAST_COMMIT / 2)
            former.close()

        nursery.start_soon(end)
        session = await await_session(mounts.store, volume, options)
    assert session.path == former.path
    session.close()


async def test_but_not_for_ever(
    mounts: Mounts, options: MountOptions, former: OpenSession, autojump_clock: MockClock
) -> None:
    with pytest.raises(SessionBusyError, match="in its last commit"):
        await await_session(mounts.store, mounts.store.refs.get_volume("data"), options)
