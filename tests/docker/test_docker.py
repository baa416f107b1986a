"""Containers of Docker itself: Debian's docker.io, by a daemon of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.docker.plugins import Plugin
from tests.harness.mounted import wait_until
from tests.harness.servers import ROOT, die_with_parent
from volfs.control.mounts import list_mount_points

UNPACKED = ROOT / ".venv" / "servers" / "docker"
PATH = ":".join(f"{UNPACKED}/{folder}" for folder in ("usr/bin", "usr/sbin", "bin"))
PATH = f"{PATH}:{os.environ['PATH']}"
MISSING = [it for it in ("dockerd", "docker", "busybox") if not shutil.which(it, path=PATH)]
pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(bool(MISSING) or os.geteuid() != 0, reason=f"needs root and {MISSING}"),
]
STARTING = 120.0


class Docker:
    """dockerd in a folder of its own, whose containers outlive it, and its command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self.log = folder / "dockerd.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {**os.environ, "PATH": PATH, "DOCKER_HOST": self.host}
        (folder / "daemon.json").write_text(json.dumps({"live-restore": True}))
        self.start()

    def start(self) -> None:
        options = [f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec"]
        options += [f"--pidfile={self.folder}/pid", f"--config-file={self.folder}/daemon.json"]
        options += ["--iptables=false", "--ip6tables=false", "--bridge=none"]
        self.argv = ["dockerd", "-H", self.host, "--storage-driver=vfs", *options]
        self._begin()
        wait_until(self._answers, f"dockerd: {self.log.read_text()[-2000:]}", STARTING)

    def _begin(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                env=self.environment,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            self._begin()  # As systemd does: dockerd gives up if its old containerd dies late.
        command = ["docker", "version"]
        return subprocess.run(command, env=self.environment, capture_output=True).returncode == 0

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(STARTING)

    def __call__(self, *args: str, status: int = 0) -> str:
        done = subprocess.run(
            ["docker", *args], env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == status, done
        return (done.stdout + done.stderr).strip()

    def make_image(self) -> None:
        """An image of one program. Its /seed has a file, which a new volume gets."""
        archive = self.folder / "image.tar"
        busybox = shutil.which("busybox", path=PATH)
        assert busybox is not None
        (self.folder / "seed").mkdir()
        (self.folder / "seed" / "first").write_text("of the image\n")
        with tarfile.open(archive, "w") as tar:
            folder = tarfile.TarInfo("bin")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
            tar.add(busybox, "bin/busybox")
            tar.add(self.folder / "seed", "seed")
            for name in ("sh", "cat", "ls", "sleep", "touch", "id"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        self("import", str(archive), "small")

    def run(self, volume: str, script: str, *options: str, status: int = 0) -> str:
        mounted = ["-v", f"{volume}:/data", "--network=none"]
        return self("run", "--rm", *mounted, *options, "small", "sh", "-c", script, status=status)

    def begin(self, name: str, volume: str, script: str) -> None:
        """Begin a container that goes on until it is stopped."""
        script = f"trap 'exit 0' TERM; {script}; while :; do sleep 0.1; done"
        mounted = ["-v", f"{volume}:/data", "--network=none"]
        self("run", "-d", "--name", name, *mounted, "small", "sh", "-c", script)


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[Docker]:
    folder = tmp_path / "d"
    folder.mkdir()
    docker = Docker(folder)
    try:
        docker.make_image()
        yield docker
    finally:
        if docker.process is not None and docker.process.poll() is not None:
            docker.start()
        for container in docker("ps", "-aq").split():
            docker("rm", "-f", container)
        docker.stop()
        for mount in reversed(list_mount_points()):
            if mount.path.startswith(f"{folder}/"):
                subprocess.run(["umount", mount.path], check=True)


@pytest.fixture
def plugin(volfs: Command) -> Iterator[Plugin]:
    name = f"volfs-test-{os.getpid()}"
    plugin = Plugin(volfs, Path(f"/run/docker/plugins/{name}.sock"))
    yield plugin
    if plugin.process is not None and plugin.process.poll() is None:
        plugin.stop()
    plugin.path.unlink(missing_ok=True)


def test_containers(volfs: Command, plugin: Plugin, docker: Docker) -> None:
    created = ["volume", "create", "-d", plugin.name]
    assert "did you mean auto_commit" in docker(*created, "-o", "autocommit=5", "x", status=1)
    docker(*created, "-o", "auto_commit=0", "data")
    # What the image has at the place goes into an empty volume, as with Docker's own volumes.
    docker("run", "--rm", "-v", "data:/seed", "--network=none", "small", "cat", "/seed/first")
    assert volfs("get", "data", "first", "-").out == b"of the image\n"
    # Another user than root is let in, as the modes allow.
    docker.run("data", "touch /data/no", "--user=1000", status=1)
    assert docker.run("data", "cat /data/first", "--user=1000") == "of the image"
    # Two containers at a time, which do not see each other.
    docker.begin("one", "data", "echo 1 >/data/one")
    docker.begin("two", "data", "echo 2 >/data/two")
    wait_until(lambda: docker("exec", "one", "ls", "/data") == "first\none", "the first")
    wait_until(lambda: docker("exec", "two", "ls", "/data") == "first\ntwo", "the second")
    assert volfs("ls", "data").lines == ["first"]
    docker("stop", "two")
    assert volfs("ls", "data").lines == ["first", "two"]
    # docker cp asks for the mount of a running container once more.
    docker("cp", "one:/data/one", str(volfs.directory))
    docker("cp", str(docker.log), "one:/data/copied")
    assert (volfs.directory / "one").read_text() == "1\n"
    # The plugin and dockerd die, and the container goes on.
    plugin.stop(signal.SIGKILL)
    docker.stop(signal.SIGKILL)
    plugin.start()
    docker.start()
    docker("exec", "one", "sh", "-c", "echo 3 >/data/three")
    docker("stop", "one")
    assert volfs("ls", "data").lines == ["copied", "first", "one", "three", "two"]
    docker("rm", "one", "two")
    _check_versions(volfs, plugin, docker)
    _check_failure(volfs, plugin, docker)
    docker("volume", "rm", "data")
    assert volfs("list", "--json").json == []


def _check_versions(volfs: Command, plugin: Plugin, docker: Docker) -> None:
    created = ["volume", "create", "-d", plugin.name]
    docker(*created, "-o", "volume=data", "-o", "at=head~", "old")
    assert docker.run("old", "ls /data") == "first\ntwo"
    assert "Read-only" in docker.run("old", "touch /data/x", status=1)
    # The other name keeps the volume's data.
    docker("volume", "rm", "old")
    assert "data" in volfs("list").out.decode()


def _check_failure(volfs: Command, plugin: Plugin, docker: Docker) -> None:
    """A last commit that fails: the user finds why and where, and nothing is lost."""
    docker.begin("unlucky", "data", "echo hours >/data/work")
    wait_until(lambda: "work" in docker("exec", "unlucky", "ls", "/data"), "the work")
    away = volfs.store.rename(volfs.directory / "away")
    docker("stop", "unlucky")
    assert "not committed" in docker.log.read_text()
    assert "not committed" in plugin.log.read_text()
    assert "data" in docker("volume", "ls")
    said = docker.run("data", "true", status=125)
    assert str(volfs.store) in said
    away.rename(volfs.store)
    state = json.loads(docker("volume", "inspect", "data"))[0]["Status"]
    assert len(state["uncommitted"]) == 1
    docker("start", "unlucky")
    docker("stop", "unlucky")
    assert volfs("get", "data", "work", "-").out == b"hours\n"
    assert "uncommitted" not in json.loads(docker("volume", "inspect", "data"))[0]["Status"]
    docker("rm", "unlucky")
