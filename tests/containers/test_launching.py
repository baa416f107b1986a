"""The process that mounts containers' volumes: shared, replaced where it died, never left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.containers.conftest import Workshop
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


def start(workshop: Workshop, launcher: Launcher, mount: VolumeMount = DATA) -> Container:
    container = Container(ContainerSpec((mount,)), str(workshop.store_path), launcher)
    workshop.containers.append(container)
    return container


def test_one_mounts_for_several_containers(workshop: Workshop) -> None:
    with Launcher() as launcher:
        start(workshop, launcher)
        with pytest.raises(NotFoundError, match="nothing"):
            start(workshop, launcher, VolumeMount("nothing", "/volfs-test/data"))
        start(workshop, launcher)
    assert len(workshop.mounts) == 2


def test_where_it_died_another_one_is_begun(workshop: Workshop) -> None:
    first = share_launcher()
    assert share_launcher() is first
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: not first.is_alive, "its end")
    with pytest.raises(MountError, match="volumes cannot be mounted"):
        start(workshop, first)
    start(workshop, share_launcher())
    assert len(workshop.mounts) == 1


def test_what_is_asked_of_it_is_done_after_it_was_dropped(workshop: Workshop) -> None:
    launcher = share_launcher()
    drop_launcher()
    start(workshop, launcher)
    pid = launcher.pid
    del launcher
    assert not is_running(pid)


def test_it_ends_with_the_process_that_began_it(workshop: Workshop) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", f"{BEGIN}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert is_running(pid)
        owner.kill()
    wait_until(lambda: not is_running(pid), "the launcher to end")


def test_a_fork_has_one_of_its_own(workshop: Workshop) -> None:
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
    start(workshop, share_launcher())
    wait_until(lambda: not is_running(theirs), "the child's to end")
