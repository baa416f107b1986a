"""A container's own /tmp: what is in it, what of the machine's is seen there, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import volfs as modal
from tests.containers.conftest import ContainerStore
from tests.harness.mounted import wait_until
from volfs.containers.bwrap_layout import Shown
from volfs.containers.container import Container, VolumeMount
from volfs.containers.temporary import find_named, show_paths

pytestmark = pytest.mark.fuse


@pytest.fixture(autouse=True)
def private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOLFS_SHARE_TMP")


@pytest.fixture
def below() -> Iterator[Path]:
    """A directory of the machine's /tmp."""
    with tempfile.TemporaryDirectory(prefix="volfs-test-", dir="/tmp") as path:
        yield Path(path)


def find_directory(container: Container) -> Path:
    """Where its /tmp is on the machine. Others are there as well, of others' containers."""
    temporary = container._temporary
    assert temporary is not None
    return Path(temporary.path)


def wait_for_removal(directory: Path) -> None:
    wait_until(lambda: not directory.exists(), "the directory to be removed")


def run(container: Container, script: str, *args: str, **options: object) -> str:
    process = container.start(
        ["sh", "-c", script, *args], stdout=subprocess.PIPE, text=True, **options
    )
    out: str = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    return out


def test_it_is_the_containers_own_and_goes_with_it(
    container_store: ContainerStore, below: Path
) -> None:
    (below / "hidden").write_text("x")
    (below / "named").write_text("of the machine")
    (below / "variable").mkdir()
    volume = VolumeMount("data", f"{below}/deep/volume")
    one, other = container_store.container(volume), container_store.container()
    write = "echo mine > /tmp/own; echo mine > /var/tmp/own; mkdir /tmp/locked; chmod 0 /tmp/locked"
    run(one, write)
    assert run(one, "cat /tmp/own /var/tmp/own; stat -c %a /tmp") == "mine\nmine\n1777\n"
    assert run(other, "ls /tmp/own /var/tmp/own 2>&1 | grep -c 'No such'") == "2\n"
    assert not Path("/tmp/own").exists()
    # What the words and variables name is there, and nothing beside it.
    given = {**os.environ, "SOCKET_DIR": f"{below}/variable", "TMPDIR": f"{below}/t"}
    seen = f"cat $0; ls {below}; mktemp; echo back >> $0"
    out = run(other, seen, f"{below}/named", env=given).splitlines()
    assert out[:-1] == ["of the machine" + "named", "t", "variable"]
    assert out[-1].startswith(f"{below}/t/tmp.")
    assert (below / "named").read_text().endswith("back\n")
    assert not (below / "t").exists()
    # A volume below it is a volume.
    run(one, f"echo kept > {volume.path}/file; volfs --help > /dev/null || true")
    directories = {find_directory(one), find_directory(other)}
    assert [path.stat().st_mode & 0o777 for path in directories] == [0o700, 0o700]
    for container in (one, other):
        container.close()
    assert not any(path.exists() for path in directories)
    assert container_store.version() == 1
    assert not (below / "deep").exists()


def test_shared_where_somebody_says_so(container_store: ContainerStore, below: Path) -> None:
    shared = container_store.container(share_tmp=True)
    run(shared, f"echo x > {below}/from-inside")
    assert (below / "from-inside").exists()


def test_after_a_kill_the_guard_removes_it_and_else_the_next_container(
    container_store: ContainerStore, below: Path
) -> None:
    script = "echo x > /tmp/x; echo ready; while :; do mktemp; done > /dev/null"
    program = (
        "import os, sys; from volfs.containers.container import *\n"
        "spec = ContainerSpec((VolumeMount('data', '/volfs-test'),))\n"
        f"c = Container(spec, {str(container_store.store_path)!r})\n"
        f"p = c.start(['sh', '-c', {script!r}])\n"
        "guard = c._temporary._guard._process.pid\n"
        "print(guard, c._temporary.path, flush=True); p.wait()\n"
    )
    for with_guard in (False, True):
        owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert owner.stdout is not None
        said = {owner.stdout.readline().strip(), owner.stdout.readline().strip()}
        (line,) = said - {"ready"}
        guard, _, directory = line.partition(" ")
        assert Path(directory).exists()
        if with_guard:
            os.kill(int(guard), signal.SIGKILL)
        owner.kill()
        owner.communicate(timeout=60)
        if with_guard:
            wait_until(lambda: not container_store.mounts, "the daemon to end what was left")
            container_store.container().close()
        wait_for_removal(Path(directory))


def test_programs_that_lie_there_go_on(below: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (below / "lib").mkdir()
    (below / "lib" / "neighbour.py").write_text("word = 'hello'\n")
    (below / "cwd").mkdir()
    (below / "cwd" / "data").write_text("data")
    monkeypatch.chdir(below / "cwd")
    monkeypatch.syspath_prepend(str(below / "lib"))
    monkeypatch.setenv("VOLFS_STORE", f"{below}/store")
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", f"{below}/run")
    app = modal.App("below")
    volume = modal.Volume.from_name("v", create_if_missing=True)

    def look(name: str) -> tuple[str, str, bool]:
        import neighbour  # type: ignore[import-not-found]

        Path("/data", name).write_text("x")
        Path(f"/tmp/own-{name}").write_text("x")
        volume.commit()
        return neighbour.word, Path("data").read_text(), Path(f"/tmp/{name}").exists()

    private = app.function(name="private", volumes={"/data": volume})(look)
    shared = app.function(name="shared", volumes={"/data": volume}, share_tmp=True)(look)
    (below / "beside").write_text("x")
    with app.run():
        assert private.remote(below.name) == ("hello", "data", True)
        assert private.remote(f"own-{below.name}") == ("hello", "data", True)
        assert not Path(f"/tmp/own-{below.name}").exists()
        assert shared.remote(below.name) == ("hello", "data", True)
    own = Path(f"/tmp/own-{below.name}")
    assert own.exists()
    own.unlink()


def test_which_paths_are_shown(below: Path) -> None:
    (below / "a" / "b").mkdir(parents=True)
    (below / "link").symlink_to(below / "a")
    top = str(below)
    assert show_paths([f"{top}/a/b", f"{top}/a", f"{top}/none", "/usr", "rel"], []) == [
        Shown(f"{top}/a", f"{top}/a")
    ]
    assert show_paths([f"{top}/a/b"], [f"{top}/a"]) == []
    assert show_paths([f"{top}/a/b"], ["/tmp"]) == [Shown(f"{top}/a/b", f"{top}/a/b")]
    assert show_paths([f"{top}/link"], []) == [Shown(f"{top}/a", f"{top}/link")]
    (below / "__init__.py").touch()
    assert Shown(top, top) in show_paths(["/tmp"], [])
    assert all(Path(one.path) != Path("/tmp") for one in show_paths(["/tmp", "/tmp/"], []))
    assert list(find_named({"PATH": "/a:/b", "TMPDIR": "/c", "PWD": "/d"})) == ["/a", "/b"]
