"""Containers as Python starts them: what they see, and what becomes of it at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.containers.conftest import ContainerStore
from tests.harness.mounted import is_running, wait_until
from volfs.containers.container import Bind, Container, VolumeMount
from volfs.control.mount_client import get_mount
from volfs.errors import InvalidError, MountError, NotFoundError, UserError, VolfsError
from volfs.volume.volumes import create_volume

pytestmark = pytest.mark.fuse
DATA = VolumeMount("data", "/volfs-test/data")
READ_ONLY = VolumeMount("data", "/volfs-test/data", read_only=True)


def said(container: Container, script: str, status: int = 0) -> str:
    process = container.start(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == status, out
    return str(out).strip()


def test_a_volume_is_at_its_path_and_committed_at_the_end(
    container_store: ContainerStore, volfs: Command
) -> None:
    with container_store.container(DATA) as container:
        assert said(container, "echo new > /volfs-test/data/file; ls /volfs-test") == "data"
        assert container_store.mounts
        assert not Path("/volfs-test").exists()
    assert not container_store.mounts
    assert not container_store.sessions
    assert not os.listdir(container_store.directory / "run/containers")
    assert volfs("get", "data", "file", "-").out == b"new\n"


def test_commands_of_one_container_share_its_view(container_store: ContainerStore) -> None:
    with container_store.container(DATA) as container:
        said(container, "echo 1 > /volfs-test/data/file")
        assert said(container, "cat /volfs-test/data/file") == "1"


def test_containers_have_views_of_their_own(container_store: ContainerStore) -> None:
    with container_store.container(DATA) as one, container_store.container(DATA) as other:
        said(one, "echo 1 > /volfs-test/data/file")
        assert said(other, "ls /volfs-test/data") == ""


def test_a_container_does_not_hold_up_the_end_of_another(container_store: ContainerStore) -> None:
    """It has copied the other's mount when it copied the host's mount table."""
    with container_store.container(DATA) as one:
        other = container_store.container(DATA)
        stays = other.start(["sleep", "1000"])
        said(one, "echo 1 > /volfs-test/data/file")
    assert container_store.version() == 1
    assert stays.poll() is None
    other.close()
    assert stays.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)


def test_the_host_is_seen_as_it_is(container_store: ContainerStore) -> None:
    place = container_store.directory / "host"
    place.mkdir()
    with container_store.container(DATA) as container:
        script = f"echo new > {place}/file; readlink /bin; pwd"
        link = os.readlink("/bin") if os.path.islink("/bin") else ""
        assert said(container, script).split() == [link, os.getcwd()]
    assert (place / "file").read_text() == "new\n"


def test_how_often_it_commits_in_the_background(container_store: ContainerStore) -> None:
    with container_store.open() as store:
        create_volume(store, "often", auto_commit=2.0)
    often = VolumeMount("often", "/volfs-test/often")
    for spec, *intervals in (
        ({}, 5.0, 2.0),
        ({"auto_commit": 60.0}, 60.0, 60.0),
        ({"auto_commit": 0.0}, None, None),
        ({"commit": "success"}, None, None),
    ):
        with container_store.container(DATA, often, **spec) as container:
            asked = [get_mount(str(container.mountpoint(mount))) for mount in (DATA, often)]
            assert [client.status().auto_commit for client in asked] == intervals
    with pytest.raises(InvalidError, match="no commits in the background"):
        container_store.container(DATA, commit="never", auto_commit=1.0)


def test_the_commands_path_is_its_own(container_store: ContainerStore) -> None:
    with container_store.container(environment={"PATH": "/nowhere"}) as container:
        process = container.start(["/bin/sh", "-c", "echo $PATH"], stdout=subprocess.PIPE)
        assert process.communicate()[0] == b"/nowhere\n"


def test_a_read_only_volume_refuses_writes(container_store: ContainerStore) -> None:
    with container_store.container(READ_ONLY) as container:
        assert said(container, "touch /volfs-test/data/file 2>&1", 1).endswith(
            "Read-only file system"
        )
    assert container_store.version() == 0


def test_one_volume_within_another(container_store: ContainerStore, volfs: Command) -> None:
    container_store.create("inner")
    inner = VolumeMount("inner", "/volfs-test/data/a/b")
    with container_store.container(inner, DATA) as container:
        said(container, "echo 1 > /volfs-test/data/a/b/file; echo 2 > /volfs-test/data/a/other")
    assert volfs("ls", "data", "a").lines == ["a/b", "a/other"]
    assert volfs("ls", "data", "a/b").lines == []
    assert volfs("ls", "inner").lines == ["file"]


def test_a_part_of_a_volume(container_store: ContainerStore, volfs: Command) -> None:
    part = VolumeMount("data", "/volfs-test/data", sub_path="a/b")
    with container_store.container(part) as container:
        said(container, "echo 1 > /volfs-test/data/file")
    assert volfs("get", "data", "a/b/file", "-").out == b"1\n"


def test_a_network_file_system_is_shared(container_store: ContainerStore) -> None:
    with container_store.open() as store:
        create_volume(store, "shared", network=True)
    mount = VolumeMount("shared", "/volfs-test/shared", network=True)
    with (
        container_store.container(mount) as one,
        container_store.container(mount, commit="never") as other,
    ):
        said(one, "echo 1 > /volfs-test/shared/file")
        said(other, "echo 2 >> /volfs-test/shared/file")
        assert said(one, "cat /volfs-test/shared/file") == "1\n2"


def test_a_place_that_is_there_is_covered(container_store: ContainerStore) -> None:
    place = container_store.directory / "place"
    place.mkdir()
    (place / "hidden").touch()
    with container_store.container(VolumeMount("data", str(place))) as container:
        assert said(container, f"ls {place}; touch {place}/file") == ""
    assert os.listdir(place) == ["hidden"]
    assert container_store.version() == 1


def test_files_of_the_host_elsewhere(container_store: ContainerStore) -> None:
    source = container_store.directory / "source"
    source.mkdir()
    (source / "file").write_text("1")
    binds = (Bind(source, "/volfs-test/dir"), Bind(source / "file", "/volfs-test/file"))
    with container_store.container(binds=binds) as container:
        assert said(container, "cat /volfs-test/dir/file /volfs-test/file") == "11"
        said(container, "touch /volfs-test/dir/file 2>/dev/null", 1)


@pytest.mark.parametrize("success", [True, False])
def test_commit_on_success(container_store: ContainerStore, volfs: Command, success: bool) -> None:
    container = container_store.container(DATA, commit="success")
    said(container, "echo 1 > /volfs-test/data/file")
    container.close(success)
    assert container_store.version() == int(success)
    assert container.left == container_store.sessions
    assert len(container.left) == int(not success)
    if not success:
        volfs("overlays", "commit", *container.left)
        assert volfs("get", "data", "file", "-").out == b"1\n"


def test_a_failure_without_changes_leaves_nothing(container_store: ContainerStore) -> None:
    container_store.container(DATA, commit="success").close(False)
    assert not container_store.sessions


def test_never_committed(container_store: ContainerStore) -> None:
    with container_store.container(DATA, commit="never") as container:
        said(container, "echo 1 > /volfs-test/data/file; sync /volfs-test/data")
    assert container_store.version() == 0
    assert not container_store.sessions


def test_a_daemon_that_died(container_store: ContainerStore, volfs: Command) -> None:
    """Its mount goes, the other volume is committed, and what was fsynced can be had."""
    container_store.create("other")
    container = container_store.container(DATA, VolumeMount("other", "/volfs-test/other"))
    said(container, "cd /volfs-test; echo 1 > data/file; sync data/file; touch other/file")
    daemon = get_mount(str(container.mountpoint(DATA))).status().pid
    os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: not is_running(daemon), "the daemon's end")
    with pytest.raises(MountError, match=r"^data: .*volfs overlays"):
        container.close()
    assert not container_store.mounts
    assert container_store.version("other") == 1
    (name,) = container_store.sessions
    volfs("overlays", "commit", name)
    assert volfs("get", "data", "file", "-").out == b"1\n"


def test_a_commit_that_fails(container_store: ContainerStore) -> None:
    """Everything is unmounted, and the overlay stays."""
    container = container_store.container(DATA, commit="success")
    said(container, "echo 1 > /volfs-test/data/file")
    packs = container_store.store_path / "packs"
    packs.rename(container_store.store_path / "away")
    packs.touch()
    try:
        with pytest.raises(VolfsError, match=r"^data: "):
            container.close()
    finally:
        packs.unlink()
        (container_store.store_path / "away").rename(packs)
    assert not container_store.mounts
    assert len(container_store.sessions) == 1


def test_the_container_itself_may_commit(container_store: ContainerStore) -> None:
    program = "import volfs; print(volfs.Volume.from_name('data').commit().version)"
    environment = {"VOLFS_STORE": str(container_store.store_path)}
    with container_store.container(DATA, commit="never", environment=environment) as container:
        script = f'touch /volfs-test/data/file; {sys.executable} -c "{program}"'
        assert said(container, script) == "1"
    assert container_store.version() == 1


def test_signals_reach_the_command(container_store: ContainerStore) -> None:
    script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done"
    with container_store.container() as container:
        process = container.start(["sh", "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(60) == 7
        process.stdout.close()


def test_a_signal_at_once_ends_the_command(container_store: ContainerStore) -> None:
    with container_store.container() as container:
        process = container.start(["sleep", "1000"])
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM


def test_values_are_in_no_argument(container_store: ContainerStore) -> None:
    with container_store.container(environment={"SECRET": "canary-1"}) as container:
        script = "echo $SECRET; read wait"
        process = container.start(
            ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "canary-1\n"
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert b"canary-1" not in path.read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
        process.communicate()


def test_what_cannot_be_mounted(container_store: ContainerStore) -> None:
    for path in ("/", "/root", "/tmp", "data", "/a/../b"):
        with pytest.raises(InvalidError):
            container_store.container(VolumeMount("data", path))
    with pytest.raises(InvalidError, match="two places"):
        container_store.container(DATA, VolumeMount("data", "/other"))
    with pytest.raises(NotFoundError, match="nothing"):
        container_store.container(DATA, VolumeMount("nothing", "/other"))
    with pytest.raises(UserError, match="="):
        container_store.container().start(["a=b"])
    assert not container_store.mounts
    assert not container_store.sessions
