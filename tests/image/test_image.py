"""What the Dockerfile says at its top, done as it says, with podman in Docker's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.image.conftest import Containers
from volfs.control.mounts import list_volfs_mounts

pytestmark = [pytest.mark.slow, pytest.mark.fuse]
AS_VOLFS = ("--user=volfs",)
ON_THE_MACHINE = ("--pid=host",)
KILLED = 137
SIGNALLED = 143


@pytest.mark.parametrize("options", [(), AS_VOLFS], ids=["root", "volfs"])
def test_a_mount_is_committed_and_stopped(containers: Containers, options: tuple[str, ...]) -> None:
    assert containers.run("create", "data", options=options) == "Created Volume 'data'.\n"
    name = containers.mount("/data", options=options)
    containers.sh(name, "echo hello > /data/first")
    said = containers.sh(name, "volfs commit /data -m 'first files'")
    assert said.startswith("Committed version 1 ")
    containers.sh(name, "echo hello > /data/second")
    assert containers.stop(name) == 0
    assert containers.run("ls", "data", options=options) == "first\nsecond\n"
    assert containers.run("overlays", options=options) == ""
    assert "no problems" in containers.run("check", options=options)


def test_a_container_that_is_stopped_while_it_starts_ends(containers: Containers) -> None:
    """Process 1 of a container ignores every signal that it has not asked for."""
    containers.run("create", "data")
    name = containers.start("mount", "--foreground", "data", "/data")
    assert containers.stop(name) in (0, SIGNALLED)


def test_what_a_killed_container_left_is_taken_over(containers: Containers) -> None:
    containers.run("create", "data")
    name = containers.mount("/data")
    containers.sh(name, "echo kept > /data/kept && sync /data/kept")
    assert containers.kill(name) == KILLED
    name = containers.mount("/data")
    assert containers.sh(name, "cat /data/kept") == "kept\n"


def test_two_containers_have_one_store(containers: Containers) -> None:
    containers.run("create", "data")
    one = containers.mount("/data", options=ON_THE_MACHINE)
    two = containers.mount("/data", options=ON_THE_MACHINE)
    containers.sh(one, "echo hello > /data/file && volfs commit /data")
    assert containers.sh(two, "ls /data && volfs reload /data") == (
        "Reloaded from version 0 to 1.\n"
    )
    assert containers.sh(two, "cat /data/file") == "hello\n"
    assert containers.run("ls", "data", options=ON_THE_MACHINE) == "file\n"
    assert [containers.stop(name) for name in (one, two)] == [0, 0]


def test_a_command_sees_the_processes_of_the_container_that_mounts(containers: Containers) -> None:
    containers.run("create", "data")
    name = containers.mount("/data")
    containers.sh(name, "echo hello > /data/file && volfs commit /data")
    assert containers.run("ls", "data", options=(f"--pid=container:{name}",)) == "file\n"


def test_a_shared_mount_is_seen_by_the_machine_and_others(
    containers: Containers, shared: Path
) -> None:
    containers.run("create", "data")
    place = shared / "data"
    place.mkdir()
    sharing = (f"--volume={shared}:{shared}:rshared",)
    name = containers.mount(str(place), "--allow-other", options=sharing)
    (place / "file").write_text("hello")
    looking = ("--entrypoint=cat", f"--volume={shared}:/look:rslave", *AS_VOLFS)
    assert containers.run("/look/data/file", options=looking) == "hello"
    assert containers.stop(name) == 0
    assert not _is_mounted(place)
    assert containers.run("get", "data", "file", "-") == "hello"


def test_the_next_container_frees_a_shared_mount_whose_container_was_killed(
    containers: Containers, shared: Path
) -> None:
    containers.run("create", "data")
    place = shared / "data"
    place.mkdir()
    sharing = (f"--volume={shared}:{shared}:rshared",)
    containers.kill(containers.mount(str(place), options=sharing))
    assert _is_mounted(place)
    name = containers.mount(str(place), options=sharing)
    (place / "file").write_text("hello")
    assert containers.stop(name) == 0
    assert not _is_mounted(place)


def test_a_command_in_a_container_of_volfs_in_one(containers: Containers) -> None:
    containers.run("create", "data")
    script = "echo hello > /work/file"
    containers.run_mounting("run", "--volume", "data:/work", "--", "sh", "-c", script)
    assert containers.run("get", "data", "file", "-") == "hello\n"


def test_no_compiler_is_left_in_the_image(containers: Containers) -> None:
    with pytest.raises(AssertionError, match="127"):
        containers.run("-c", "gcc --version", options=("--entrypoint=sh",))


def _is_mounted(place: Path) -> bool:
    return str(place) in {mount.path for mount in list_volfs_mounts()}
