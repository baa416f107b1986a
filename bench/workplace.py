"""A directory to measure in: a store, volumes, mounts; all of it gone at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from volfs.control.mount_client import MountClient, get_mount
from volfs.control.mounts import find_mount_point
from volfs.errors import VolfsError
from volfs.model.entry import Entry, FileKind
from volfs.store.registry import open_store
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.volumes import create_volume

VOLFS = Path(sys.executable).with_name("volfs")


@dataclass(frozen=True)
class Sizes:
    """How much is measured: all of it, or just enough to see that it works."""

    many: int = 100_000
    few: int = 100
    flat: int = 25_000
    big: int = 1 << 30
    rewrites: int = 100
    creations: int = 3_000
    writes: int = 20_000
    reads: int = 4_000
    rounds: int = 101
    """Of what takes milliseconds."""
    runs: int = 3
    """Of what takes seconds."""


SMOKE = Sizes(
    many=2_000,
    flat=1_000,
    big=32 << 20,
    rewrites=20,
    creations=300,
    writes=1_000,
    reads=300,
    rounds=5,
    runs=1,
)


class MountedVolume:
    """A volume, mounted."""

    def __init__(self, path: Path, client: MountClient) -> None:
        self.path = path
        self.client = client

    def close(self, *, discard: bool = True) -> None:
        self.client.unmount(discard=discard)


class Workplace:
    """A context manager. ``store`` is volfs's, ``plain`` a directory of the disk's own."""

    def __init__(self, directory: Path, sizes: Sizes) -> None:
        self.directory = directory
        self.sizes = sizes
        self.store = directory / "store"
        self.plain = directory / "plain"
        self._mounted: list[MountedVolume] = []
        self._filled: set[str] = set()
        self._count = 0

    def __enter__(self) -> Self:
        self.plain.mkdir(parents=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for mount in reversed(self._mounted):
            unmount_anyhow(mount.path)
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- volumes ---------------------------------------------------------

    def new_name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}-{self._count}"

    def make_volume(self, name: str) -> str:
        """An empty volume."""
        store = open_store(str(self.store), create=True)
        try:
            create_volume(store, name)
        finally:
            store.close()
        return name

    def make_filled_volume(self, files: int, per_directory: int = 100) -> str:
        """A volume of small files, published without a mount; made once, then used again."""
        name = f"files-{files}-{per_directory}"
        if name not in self._filled:
            self._filled.add(name)
            self.make_volume(name)
            fill(self.store, name, files, per_directory)
        return name

    def count_stored_bytes(self) -> int:
        """Packs and index, without what belongs to running mounts."""
        parts = [self.store / "packs", self.store / "index"]
        return sum(item.stat().st_size for part in parts for item in part.iterdir())

    # --- mounts ----------------------------------------------------------

    def mount(
        self, volume: str, *options: str, variables: Mapping[str, str] | None = None
    ) -> MountedVolume:
        """Mount with the ``volfs`` command, with these in its environment as well."""
        path = self.directory / self.new_name("mnt")
        path.mkdir()
        self.volfs("mount", volume, str(path), *options, variables=variables)
        mount = MountedVolume(path, get_mount(str(path)))
        self._mounted.append(mount)
        return mount

    @contextlib.contextmanager
    def mounted(
        self, volume: str, *options: str, variables: Mapping[str, str] | None = None
    ) -> Iterator[MountedVolume]:
        mount = self.mount(volume, *options, variables=variables)
        try:
            yield mount
        finally:
            mount.close()
            self._mounted.remove(mount)
            mount.path.rmdir()

    def volfs(self, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
        """Run the command; its output. CalledProcessError, with stderr shown."""
        done = subprocess.run(
            [str(VOLFS), *arguments],
            env=self.environment() | dict(variables or {}),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    def environment(self) -> dict[str, str]:
        """Modules compiled once, as they are where volfs is installed."""
        inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        compiled = str(self.directory / "compiled")
        return inherited | {"VOLFS_STORE": str(self.store), "PYTHONPYCACHEPREFIX": compiled}


def unmount_anyhow(path: Path) -> None:
    """Discard, unmount, and if it must be, end the daemon. Never raises."""
    if find_mount_point(str(path)) is None:
        return
    pid = None
    with contextlib.suppress(VolfsError):
        client = get_mount(str(path))
        pid = client.status().pid
        client.unmount(discard=True)
    if find_mount_point(str(path)) is not None:
        subprocess.run(["umount", "-l", "-i", str(path)], capture_output=True, check=False)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def fill(store_path: Path, name: str, files: int, per_directory: int) -> None:
    """Publish ``files`` files of 48 bytes, ``per_directory`` in each directory, as one version."""
    store = open_store(str(store_path))
    try:
        with Edit(store, store.refs.get_volume(name)) as edit:
            for number in range(files):
                edit.put(small_file_path(number, per_directory), _make_small_file())
            edit.commit(CommitNote("filled"))
    finally:
        store.close()


def small_file_path(number: int, per_directory: int) -> tuple[bytes, bytes]:
    return b"d%05d" % (number // per_directory), b"f%06d" % number


def _make_small_file() -> Entry:
    """As large, encoded, as the entry of a file with one chunk."""
    now = time.time_ns()
    content = os.urandom(48)
    return Entry(b"new", FileKind.FILE, 0o644, mtime_ns=now, ctime_ns=now, size=48, inline=content)


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
