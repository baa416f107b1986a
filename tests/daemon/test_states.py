"""What is said of mounts whose daemon does not answer: each is called what it is."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Another user may not load modules from where ours are: they are loaded before.
import volfs.store.embedded.engine
import volfs.volume.edit  # noqa: F401
from tests.harness.calls import run_as
from tests.harness.mounted import Mounted, Mounts, is_running, wait_until
from volfs.control import mount_client, mount_liveness
from volfs.control.mount_client import MountClient, get_mount
from volfs.control.mount_liveness import State, is_dead, look_at
from volfs.control.mounts import find_mount_point
from volfs.daemon import launch
from volfs.daemon.mount_options import MountOptions
from volfs.errors import MountError
from volfs.store.registry import open_store
from volfs.volume.volumes import create_volume

pytestmark = pytest.mark.fuse
ME, OTHER = 65534, 1
"""Users that the system knows: fusermount3 serves no others."""
PYTHON = "/usr/bin/python3"
SILENT = """
import trio
from volfs.daemon.mount_control import MountControl
async def say_nothing(self, request):
    await trio.sleep(1 if request.verb == "unmount" else 1000)
    return await handle(self, request)
handle, MountControl.handle = MountControl.handle, say_nothing
"""
HUNG = """
import time
from volfs.daemon.mount_control import MountControl
async def hang(self, request):
    time.sleep(1000)
MountControl.handle = hang
"""


def test_a_stopped_one(mounted: Mounted) -> None:
    mounted.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: mount_liveness.is_stopped(mounted.pid), "the signal")
        assert look_at(mounted.client) == (State.STOPPED, mounted.pid, None)
        assert not is_dead(mounted.client.mount)
    finally:
        mounted.signal(signal.SIGCONT)
    seen = look_at(mounted.client)
    assert (seen.state, seen.pid) == (State.ALIVE, mounted.pid)


def test_a_dead_one(mounts: Mounts) -> None:
    mounted = mounts.mount()
    mounted.kill()
    assert look_at(mounted.client).state == State.DEAD
    assert is_dead(mounted.client.mount)


def find_mounted(mounts: Mounts, prelude: str) -> MountClient:
    """Starts a mount that answers nobody, and is ended by the test."""
    place = mounts.place()
    with pytest.raises(MountError, match="does not answer"):
        mounts.mount(place, prelude=prelude)
    return get_mount(str(place))


@pytest.mark.parametrize("prelude", [SILENT, HUNG])
def test_one_that_says_nothing(
    mounts: Mounts, monkeypatch: pytest.MonkeyPatch, prelude: str
) -> None:
    """Its socket takes calls, and the mount is there."""
    monkeypatch.setattr(mount_client, "STATUS_TIMEOUT", 0.5)
    monkeypatch.setattr(mount_liveness, "PATIENCE", 0.5)
    silent = find_mounted(mounts, prelude)
    pid = silent.find_daemon()
    assert pid
    try:
        assert look_at(silent) == (State.SILENT, pid, None)
    finally:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_running(pid), "the daemon's end")
        subprocess.run(["umount", "-l", silent.mount.path], check=True)


def test_one_of_another_runtime_directory(
    mounts: Mounts, mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (mounts.directory / "nowhere", mounts.directory):
        monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(place))
        assert look_at(mounted.client).state == State.UNREACHABLE
    unsafe = mounts.directory / "unsafe"
    unsafe.mkdir()
    unsafe.chmod(0o777)
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(unsafe))
    assert look_at(mounted.client).state == State.UNREACHABLE
    mounted.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: mount_liveness.is_stopped(mounted.pid), "the signal")
        monkeypatch.setattr(mount_liveness, "PATIENCE", 0.5)
        assert look_at(mounted.client).state == State.SILENT
    finally:
        mounted.signal(signal.SIGCONT)
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(mounts.runtime))


def test_one_that_is_covered(mounts: Mounts, mounted: Mounted) -> None:
    """What lies over a mount says nothing about it."""
    subprocess.run(["mount", "-t", "tmpfs", "none", mounted.path], check=True)
    try:
        assert look_at(mounted.client).state == State.ALIVE
        assert not is_dead(mounted.client.mount)
    finally:
        subprocess.run(["umount", mounted.path], check=True)


# --- users -----------------------------------------------------------------------


@pytest.fixture
def base() -> Iterator[Path]:
    if os.geteuid() != 0 or shutil.which("fusermount3") is None:
        pytest.skip("only root can be somebody else, who needs fusermount3")
    if not Path(PYTHON).exists():
        pytest.skip("there is no Python that everybody may run")
    path = Path(tempfile.mkdtemp(prefix="volfs-states-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@contextmanager
def open_to_all(device: Path) -> Iterator[None]:
    """As it is on most machines."""
    mode = stat.S_IMODE(device.stat().st_mode)
    device.chmod(0o666)
    try:
        yield
    finally:
        device.chmod(mode)


@pytest.fixture
def of_user(base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A mount of another user's, whose runtime directory is the usual one."""
    for name in ("VOLFS_RUNTIME_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    home = base / "home"
    (home / "mnt").mkdir(parents=True)
    for path in (home, home / "mnt"):
        os.chown(path, ME, ME)

    def mount() -> None:
        store = open_store(str(home / "store"), create=True)
        create_volume(store, "data")
        store.close()
        launch.mount(MountOptions(str(home / "store"), "data", str(home / "mnt")))

    try:
        with open_to_all(Path("/dev/fuse")):
            assert run_as(ME, home, mount) == "None"
        yield home / "mnt"
    finally:
        found = find_mount_point(str(home / "mnt"))
        if found is not None:
            pid = MountClient(found).find_daemon()
            subprocess.run(["umount", "-l", home / "mnt"], check=True)
            if pid:
                wait_until(lambda: not is_running(pid), "the daemon's end")
        shutil.rmtree(f"/tmp/volfs-{ME}", ignore_errors=True)


def look_as(user: int, base: Path, place: Path) -> str:
    def look() -> str:
        sys.executable = PYTHON
        return look_at(get_mount(str(place))).state.value

    return run_as(user, base, look)


def test_a_users_mount(base: Path, of_user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look_at(get_mount(str(of_user)))
    assert (seen.state, bool(seen.pid)) == (State.ALIVE, True), "root asks its owner's daemon"
    assert seen.pid
    assert look_as(ME, base, of_user) == "alive"
    assert look_as(OTHER, base, of_user) == "another user's"
    os.kill(seen.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: mount_liveness.is_stopped(seen.pid or 0), "the signal")
        assert look_at(get_mount(str(of_user))).state == State.STOPPED
        assert look_as(ME, base, of_user) == "stopped"
        assert look_as(OTHER, base, of_user) == "another user's"
    finally:
        os.kill(seen.pid, signal.SIGCONT)
    runtime = Path(f"/tmp/volfs-{ME}")
    hidden = runtime.rename(f"{runtime}.hidden")
    try:
        assert look_at(get_mount(str(of_user))).state == State.UNREACHABLE
    finally:
        hidden.rename(runtime)
    os.kill(seen.pid, signal.SIGKILL)
    wait_until(lambda: not is_running(seen.pid or 0), "the daemon's end")
    assert look_at(get_mount(str(of_user))).state == State.DEAD, "also of a user whom FUSE lets in"
    assert look_as(ME, base, of_user) == "dead"
    assert look_as(OTHER, base, of_user) == "another user's"


def test_roots_mount_is_anothers_to_a_user(base: Path, mounts: Mounts) -> None:
    place = base / "mnt"
    place.mkdir()
    mounted = mounts.mount(place)
    assert look_as(ME, base, place) == "another user's"
    mounted.unmount()
    shown = mounts.mount(place, allow_other=True)
    assert look_as(ME, base, place) == "another user's"
    shown.kill()
    assert look_as(ME, base, place) == "dead", "the kernel lets everybody know"
