"""podman keeps its images and containers on a volume: overlayfs with all its layers there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.fixtures import mounts as mounts
from tests.harness.mounted import Mounted, Mounts
from tests.image.engine import Engine
from tests.volume.shortcuts import publish_files
from volfs.control.mounts import list_mount_points

pytestmark = [
    pytest.mark.slow,
    pytest.mark.fuse,
    pytest.mark.skipif(os.geteuid() != 0, reason="podman without root has other drivers"),
    pytest.mark.skipif(not shutil.which("podman"), reason="podman is not installed"),
    pytest.mark.skipif(not shutil.which("gcc"), reason="gcc makes the program of the image"),
]
PROGRAM = r"""
#include <stdio.h>
#include <sys/stat.h>
int main(int count, char **words) {
    char text[99] = "nothing";
    FILE *file;
    if (count > 1) {
        mkdir("/new", 0755);
        file = fopen("/new/file", "w");
        fputs(words[1], file);
        fclose(file);
        remove("/etc/gone");
    }
    if ((file = fopen("/new/file", "r"))) fgets(text, sizeof text, file);
    printf("%s, %s\n", text, fopen("/etc/gone", "r") ? "there" : "gone");
    return 0;
}
"""
DOCKERFILE = 'FROM localhost/program\nCOPY more /more\nCMD ["/program"]\n'


@pytest.fixture
def mounted(mounts: Mounts) -> Iterator[Mounted]:
    """The volume; podman's own mount in it is taken away before it ends."""
    mounted = mounts.mount(allow_other=True)
    yield mounted
    unmount_inside(mounted)


def unmount_inside(mounted: Mounted) -> None:
    for point in reversed(list_mount_points()):
        if point.path.startswith(f"{mounted.path}/"):
            subprocess.run(["umount", point.path], check=True)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A root directory with one program that needs nothing else."""
    top = tmp_path / "top"
    (top / "etc").mkdir(parents=True)
    (top / "etc/gone").touch()
    (tmp_path / "program.c").write_text(PROGRAM)
    subprocess.run(
        ["gcc", "-static", "-o", top / "program", tmp_path / "program.c"], check=True, timeout=300
    )
    subprocess.run(["tar", "-C", top, "-cf", tmp_path / "top.tar", "."], check=True)
    return tmp_path / "top.tar"


@pytest.fixture
def podman(mounted: Mounted) -> Iterator[Engine]:
    place = Path(tempfile.mkdtemp(prefix="volfs-layers-"))
    engine = Engine(place, root=mounted.path / "containers")
    yield engine
    engine.close()


def test_podman_keeps_its_layers_on_a_volume(
    podman: Engine, mounted: Mounted, mounts: Mounts, archive: Path, tmp_path: Path
) -> None:
    podman("import", archive, "localhost/program")
    (tmp_path / "build").mkdir()
    (tmp_path / "build/Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "build/more").write_text("more")
    podman("build", "-q", "--tag=localhost/built", tmp_path / "build")
    run = ("run", "--network=none")
    assert podman(*run, "--rm", "localhost/built") == "nothing, there\n"
    said = podman(*run, "--name=first", "localhost/program", "/program", "written")
    assert said == "written, gone\n"
    assert {"A /new/file", "D /etc/gone"} <= set(podman("diff", "first").splitlines())
    podman("commit", "-q", "first", "localhost/changed")

    assert mounted.commit().changed
    publish_files(mounts.store, mounts.volume, {"of-others": b"theirs"})
    mounted.reload()
    assert (mounted.path / "of-others").read_bytes() == b"theirs"
    assert podman("start", "--attach", "first") == "written, gone\n"
    assert podman(*run, "--rm", "localhost/changed", "/program") == "written, gone\n"

    mounted.commit()
    unmount_inside(mounted)
    mounted.unmount()
    mounts.mount(mounted.path, allow_other=True)
    assert podman(*run, "--rm", "localhost/changed", "/program") == "written, gone\n"
    assert podman(*run, "--rm", "localhost/built") == "nothing, there\n"
