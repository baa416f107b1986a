"""The process that mounts containers' volumes: shared, replaced where it died, never left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.containers.conftest import ContainerStore
from tests.harness.mounted import is_running, wait_until
from volfs.containers.container import Container, ContainerSpec, VolumeMount
from volfs.containers.launching import Launcher, drop_launcher, share_launcher
from volfs.errors import MountError, NotFoundError

pytestmark = pytest.mark.fuse
DATA = VolumeMount("data", "/volfs-test/data")
BEGIN = (
    "from volfs.containers.launching import share_launcher as begin; print(begin().pid, flush=True)"
)


@pytest.fixture(autouse=True)
def nothing_shared() -> Iterator[None]:
    yield
    drop_launcher()


def start(
    container_store: ContainerStore, launcher: Launcher, mount: VolumeMount = DATA
) -> Container:
    container = Container(ContainerSpec((mount,)), str(container_store.store_path), launcher)
    container_store.containers.append(container)
    return container


def test_one_mounts_for_several_containers(container_store: ContainerStore) -> None:
    with Launcher() as launcher:
        start(container_store, launcher)
        with pytest.raises(NotFoundError, match="nothing"):
            start(container_store, launcher, VolumeMount("nothing", "/volfs-test/data"))
        start(container_store, launcher)
    assert len(container_store.mounts) == 2


def test_where_it_died_another_one_is_begun(container_store: ContainerStore) -> None:
    first = share_launcher()
    assert share_launcher() is first
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: not first.is_alive, "its end")
    with pytest.raises(MountError, match="volumes cannot be mounted"):
        start(container_store, first)
    start(container_store, share_launcher())
    assert len(container_store.mounts) == 1


def test_what_is_asked_of_it_is_done_after_it_was_dropped(container_store: ContainerStore) -> None:
    launcher = share_launcher()
    drop_launcher()
    start(container_store, launcher)
    pid = launcher.pid
    del launcher
    assert not is_running(pid)


def test_it_ends_with_the_process_that_began_it(container_store: ContainerStore) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", f"{BEGIN}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert is_running(pid)
        owner.kill()
    wait_until(lambda: not is_running(pid), "the launcher to end")


def test_a_fork_has_one_of_its_own(container_store: ContainerStore) -> None:
    ours = share_launcher()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(share_launcher().pid).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with open(reader) as file:
        theirs = int(file.read())
    assert theirs != ours.pid
    assert ours.is_alive
    start(container_store, share_launcher())
    wait_until(lambda: not is_running(theirs), "the child's to end")
