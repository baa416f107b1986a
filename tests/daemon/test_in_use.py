"""An unmount says who uses the mount, and takes away nothing of others."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.harness.mounted import Mounts
from volfs.errors import MountError, VolfsError

pytestmark = pytest.mark.fuse


@contextmanager
def process(*argv: str | Path, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that says when it has begun, and ends with the block."""
    running = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=cwd)
    try:
        assert running.stdout is not None
        running.stdout.readline()
        yield running
    finally:
        running.communicate()


@contextmanager
def working_directory(path: Path) -> Iterator[str]:
    with process("sh", "-c", "echo; read x", cwd=path / "d") as running:
        yield f"path d is the working directory of 'sh -c echo; read x' (pid {running.pid})"


@contextmanager
def root_directory(path: Path) -> Iterator[str]:
    with process(
        "python3", "-c", "import os, sys; os.chroot(sys.argv[1]); print(flush=True); input()", path
    ) as running:
        yield "path . is the root directory of '"
        assert running.poll() is None


@contextmanager
def open_directory(path: Path) -> Iterator[str]:
    with process("sh", "-c", "exec 7<d; cd /; echo; read x", cwd=path) as running:
        yield rf"path d is open from 'sh -c exec 7<d; cd /; echo; read x' (pid {running.pid})"


@contextmanager
def nested_mount(path: Path) -> Iterator[str]:
    subprocess.run(["mount", "-t", "tmpfs", "inner", path / "d"], check=True)
    try:
        (path / "d/precious").write_text("kept")
        yield f"path d: tmpfs of inner is mounted at {path}/d"
        assert (path / "d/precious").read_text() == "kept"
    finally:
        subprocess.run(["umount", path / "d"], check=True)


@contextmanager
def bind_mount(path: Path) -> Iterator[str]:
    place = path.parent / "bound"
    place.mkdir()
    subprocess.run(["mount", "--bind", path, place], check=True)
    try:
        yield f"it is mounted at {place} as well"
        assert (place / "d").is_dir()
    finally:
        subprocess.run(["umount", place], check=True)


def in_a_namespace(command: str) -> tuple[str, ...]:
    return "unshare", "-m", "--propagation", "private", "sh", "-c", f"{command}; echo; read x"


@contextmanager
def bound_in_a_namespace(path: Path) -> Iterator[str]:
    place = path.parent / "inside"
    place.mkdir()
    with process(*in_a_namespace(f"mount --bind {path} {place}")):
        yield f"it is mounted at {place} as well in the mount namespace of 'sh -c mount"


@contextmanager
def used_in_a_namespace(path: Path) -> Iterator[str]:
    with process(*in_a_namespace(f"cd {path}/d")):
        yield "path d is the working directory of 'sh -c cd"


USES = (
    working_directory,
    root_directory,
    open_directory,
    nested_mount,
    bind_mount,
    bound_in_a_namespace,
    used_in_a_namespace,
)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_umount_says_who(mounts: Mounts, use: Callable[[Path], Iterator[str]]) -> None:
    mounted = mounts.mount()
    (mounted.path / "d").mkdir()
    with use(mounted.path) as told:
        with pytest.raises(MountError) as caught:
            mounted.client.unmount()
        assert told in str(caught.value)
        assert str(caught.value).startswith(f"{mounted.path}: busy: ")
        (mounted.path / "later").touch()
    mounted.unmount()
    assert mounts.version == 2, "what came after the first attempt is committed"


def test_a_copy_that_nobody_uses_is_named(mounts: Mounts) -> None:
    mounted = mounts.mount()
    (mounted.path / "f").touch()
    with process(*in_a_namespace(":")) as running:
        result = mounted.client.unmount()
        mounted.wait_for_end()
        assert f"(pid {running.pid}) at {mounted.path}" in "".join(result.copies)
    assert mounts.version == 1


def test_two_at_once_both_succeed(mounts: Mounts) -> None:
    mounted = mounts.mount()
    (mounted.path / "f").touch()
    failed: list[VolfsError] = []

    def unmount() -> None:
        try:
            mounted.client.unmount()
        except VolfsError as error:
            failed.append(error)

    threads = [threading.Thread(target=unmount) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mounted.wait_for_end()
    assert not failed
    assert mounts.version == 1


def test_a_signal_takes_no_nested_mount_away(mounts: Mounts) -> None:
    """The mount is committed, and stays below it, dead; the next one frees the place."""
    mounted = mounts.mount()
    (mounted.path / "d").mkdir()
    with nested_mount(mounted.path):
        mounts.expect("is mounted in it")
        mounted.signal(signal.SIGTERM)
        mounted.wait_for_end()
        assert mounts.version == 1
        with pytest.raises(MountError, match=r"tmpfs of inner is mounted in it.*unmount that"):
            mounts.mount(mounted.path)
    again = mounts.mount(mounted.path)
    assert os.listdir(again.path) == ["d"]


def test_a_dead_mount_keeps_what_is_mounted_in_it(mounts: Mounts) -> None:
    mounted = mounts.mount()
    (mounted.path / "d").mkdir()
    with ExitStack() as stack:
        stack.enter_context(nested_mount(mounted.path))
        mounted.kill()
        with pytest.raises(MountError, match="tmpfs of inner is mounted in it"):
            mounts.mount(mounted.path)
    mounts.mount(mounted.path).unmount()
