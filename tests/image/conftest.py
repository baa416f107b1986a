"""The image, built once, and containers of it that are gone when the test is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.engine import Engine

IMAGE = "localhost/volfs"
STORE = "/var/lib/volfs"
READY = 'until volfs status "$0" | grep -q alive; do :; done'


class Containers:
    """Containers of the image that have one store, in a volume of podman's."""

    def __init__(self, engine: Engine, store: str) -> None:
        self.engine = engine
        self._common = ["--network=none", f"--volume={store}:{STORE}"]
        self._mounting = [f"--device={engine.device}:/dev/fuse", "--cap-add=SYS_ADMIN"]
        self._mounting += ["--security-opt=apparmor=unconfined"]

    def run(self, *arguments: str, options: tuple[str, ...] = ()) -> str:
        """What volfs says in a container without rights, which is gone then."""
        return self.engine("run", "--rm", *self._common, *options, IMAGE, *arguments)

    def run_mounting(self, *arguments: str) -> str:
        """The same with the rights that the Dockerfile asks for."""
        return self.run(*arguments, options=tuple(self._mounting))

    def start(self, *arguments: str, options: tuple[str, ...] = ()) -> str:
        """The container's id: it runs volfs with the rights that the Dockerfile asks for."""
        options = (*self._common, *self._mounting, *options)
        return self.engine("run", "--detach", *options, IMAGE, *arguments).strip()

    def mount(self, path: str, *flags: str, options: tuple[str, ...] = ()) -> str:
        """The id of a container with the volume ``data`` mounted there; the mount answers."""
        name = self.start("mount", "--foreground", *flags, "data", path, options=options)
        self.engine("exec", name, "sh", "-c", READY, path)
        return name

    def sh(self, name: str, script: str) -> str:
        """What a shell in a running container says."""
        return self.engine("exec", name, "sh", "-ec", script)

    def stop(self, name: str) -> int:
        """Stop it as ``docker stop`` does; its exit status."""
        self.engine("stop", name)
        return int(self.engine("wait", name))

    def kill(self, name: str) -> int:
        """Its exit status."""
        self.engine("kill", name)
        return int(self.engine("wait", name))


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """With the image in it. Building takes minutes."""
    if os.geteuid() != 0:
        pytest.skip("only root can have containers that mount for the machine")
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")
    engine = Engine(Path(tempfile.mkdtemp(prefix="volfs-image-")))
    try:
        try:
            engine.make_base()
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"Debian's image can neither be had nor made: {error}")
        engine.build(IMAGE)
        yield engine
    finally:
        engine.close()


@pytest.fixture
def containers(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Containers]:
    """With a store of their own, in which there is a volume ``data``."""
    containers = Containers(engine, re.sub(r"\W+", "-", request.node.name))
    yield containers
    engine("rm", "--all", "--force", "--time=0")


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A directory on a shared mount, open to all."""
    tmp_path.chmod(0o755)
    subprocess.run(["mount", "--bind", tmp_path, tmp_path], check=True)
    try:
        subprocess.run(["mount", "--make-shared", tmp_path], check=True)
        yield tmp_path
    finally:
        subprocess.run(["umount", "--recursive", tmp_path], check=True)
