"""Real mounts in processes of their own, which the test always gets rid of again.

``Mounts`` starts daemons through ``volfs.daemon.launch``, keeps the log of each,
and at the end unmounts or kills what is left. A record above INFO fails the
test unless it was announced with ``expect``; the store is checked at the end.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import msgspec

from tests.harness.forked import Forked
from tests.harness.store_places import BucketPlace, skip_directory
from volfs.control.mount_client import MountClient, get_mount
from volfs.control.mounts import find_mount_point
from volfs.control.protocol import CommitResult, Failure, MountStatus, ReloadResult, to_exception
from volfs.daemon.launch import choose_log
from volfs.daemon.mount_options import MountOptions
from volfs.errors import VolfsError
from volfs.model.text_json import decode_json, encode_json
from volfs.sessions.places import sessions_directory
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.system.proc import find_state, list_threads
from volfs.volume.check import check_store
from volfs.volume.volumes import create_volume

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 20.0
CHUNK_BITS = 16
_START = """
import sys
from volfs.control.protocol import to_failure
from volfs.daemon.launch import mount
from volfs.daemon.mount_options import BucketPlan, MountOptions
from volfs.errors import VolfsError
from volfs.model.text_json import decode_json, encode_json
try:
    options = decode_json(sys.argv[1].encode(), dict)
    options["bucket"] = options["bucket"] and BucketPlan(**options["bucket"])
    mount(MountOptions(**options))
except VolfsError as error:
    sys.stderr.buffer.write(encode_json(to_failure(error)))
    sys.exit(1)
"""


def wait_until(condition: Callable[[], Any], what: str, deadline: float = DEADLINE) -> Any:
    """Look until something is so; fail the test if that takes too long."""
    end = time.monotonic() + deadline
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"still waiting: {what}"
        select.select([], [], [], 0.01)


def is_running(pid: int) -> bool:
    """Its first thread is dead before the others let go of what they share."""
    try:
        return find_state(pid) not in ("", "Z") or len(list_threads(pid)) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


class Mounted:
    """One mount. ``path`` is where; the control calls are those of its client."""

    def __init__(self, options: MountOptions, log: Path, process: subprocess.Popen[bytes] | None):
        self.options = options
        self.path = Path(options.mountpoint)
        self.log = log
        self.process = process
        """The daemon, if it is in the foreground."""
        self.client: MountClient = get_mount(options.mountpoint)
        self.pid = self.status().pid

    def status(self) -> MountStatus:
        return self.client.status()

    def commit(self, message: str = "", on_conflict: str = "override") -> CommitResult:
        return self.client.commit(message, on_conflict)

    def reload(self, wait: float = 0.0) -> ReloadResult:
        return self.client.reload(wait)

    def unmount(self, *, discard: bool = False) -> None:
        self.client.unmount(discard=discard)
        self.wait_for_end()

    def wait_for_log(self, text: str) -> str:
        """The log, with this in it: a thread of the daemon writes it, in the order of events."""
        wait_until(lambda: text in self.log.read_text(errors="replace"), f"{text!r} in the log")
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9: the mount stays, dead."""
        self.signal(signal.SIGKILL)
        self.wait_for_end()
        wait_until(self.is_cut_off, "the kernel to notice")

    def is_cut_off(self) -> bool:
        """Whether the mount is there and its daemon is not."""
        try:
            os.statvfs(self.path)
        except OSError as error:
            # ECONNABORTED: it is about to notice.
            return error.errno == errno.ENOTCONN
        return False

    def wait_for_end(self) -> None:
        if self.process is not None:
            self.process.wait(DEADLINE)
        wait_until(lambda: not is_running(self.pid), "the daemon's end")

    @property
    def is_mounted(self) -> bool:
        return find_mount_point(str(self.path)) is not None


class Mounts:
    """The mounts of one test, over one store with one volume named ``data``."""

    def __init__(self, directory: Path, bucket: BucketPlace | None = None) -> None:
        self.directory = directory
        self.bucket = bucket
        self._store_path = directory / "store"
        self.runtime = directory / "run"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "VOLFS_RUNTIME_DIR": str(self.runtime),
            **(bucket.environment if bucket else {}),
        }
        self.mounted: list[Mounted] = []
        self.expected: list[str] = ["waiting for the store"]  # on a machine that is busy
        self.places: list[Path] = []
        self.is_damaged = False
        """Whether the test damaged the store: then, and only then, check must find damage."""
        self._store: Store | None = None

    # --- the store -------------------------------------------------------

    @property
    def address(self) -> str:
        return self.bucket.url if self.bucket else str(self._store_path)

    @property
    def store_path(self) -> Path:
        """The directory of the store. The test is skipped if the store is in a bucket."""
        return skip_directory() if self.bucket else self._store_path

    @store_path.setter
    def store_path(self, path: Path) -> None:
        if self.bucket:
            skip_directory()
        self._store_path = path

    @property
    def store(self) -> Store:
        """The store, open in this process. Daemons are processes of their own."""
        if self._store is None:
            self._store = open_store(self.address, create=True)
        return self._store

    def close_store(self) -> None:
        """Close this process's handle; the next use of ``store`` opens it again."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def create(self, name: str = "data", **options: Any) -> VolumeRecord:
        options.setdefault("chunk_bits", CHUNK_BITS)
        return create_volume(self.store, name, **options)

    @property
    def volume(self) -> VolumeRecord:
        return self.store.refs.get_volume("data")

    @property
    def version(self) -> int:
        return self.store.refs.get_head(self.volume.id).version

    @property
    def sessions(self) -> list[str]:
        directory = sessions_directory(self.store)
        return sorted(os.listdir(directory)) if directory.exists() else []

    def put_sessions_in(self, directory: Path) -> None:
        """Let the sessions of the store lie elsewhere: on another disk, for example."""
        directory.mkdir()
        (self.store_path / "mounts").symlink_to(directory)

    # --- mounting --------------------------------------------------------

    def place(self, name: str = "") -> Path:
        """A new empty directory to mount on."""
        path = self.directory / (name or f"mnt{len(self.places)}")
        path.mkdir(exist_ok=True)
        self.places.append(path)
        return path

    def options(self, place: Path | None = None, **options: Any) -> MountOptions:
        place = self.place() if place is None else place
        if place not in self.places:
            self.places.append(place)
        options.setdefault("log", str(self.directory / f"{place.name}.log"))
        return MountOptions(
            **{"store": self.address, "volume": "data", "mountpoint": str(place), **options}
        )

    def mount(
        self,
        place: Path | None = None,
        *,
        prelude: str = "",
        inherit: Collection[int] = (),
        **changes: Any,
    ) -> Mounted:
        """Mount and return when the mount answers. Raises what ``launch.mount`` raises.

        ``prelude`` is run first in the daemon to be: it may put faults into the code.
        ``inherit`` are descriptors that it gets from us.
        """
        options = self.options(place, **changes)
        encoded = encode_json(msgspec.to_builtins(options, enc_hook=str)).decode()
        process = Forked(
            [f"{prelude}\n{_START}", encoded],
            env=self.environment,
            stderr=subprocess.PIPE,
            cwd=self.directory,
            pass_fds=inherit,
        )
        if options.foreground:
            self._wait_until_ready(process, options)
        else:
            _, error = process.communicate(timeout=DEADLINE)
            if process.returncode:
                raise self._to_error(error)
        mounted = Mounted(options, Path(options.log or ""), process if options.foreground else None)
        self.mounted.append(mounted)
        return mounted

    def adopt(self, place: Path) -> Mounted:
        """Take care of a mount that somebody else made there."""
        options = self.options(place)
        mounted = Mounted(options, choose_log(options), None)
        self.mounted.append(mounted)
        return mounted

    def _wait_until_ready(self, process: subprocess.Popen[bytes], options: MountOptions) -> None:
        def look() -> bool:
            if process.poll() is not None:
                assert process.stderr is not None
                raise self._to_error(process.stderr.read())
            try:
                return bool(get_mount(options.mountpoint).status())
            except VolfsError:
                return False

        wait_until(look, "the mount to answer")

    def _to_error(self, text: bytes) -> VolfsError:
        try:
            return to_exception(decode_json(text.splitlines()[-1], Failure))
        except (ValueError, IndexError):
            raise AssertionError(text.decode()) from None

    # --- the end ---------------------------------------------------------

    def expect(self, *texts: str) -> None:
        """Announce that a daemon will log something above INFO with one of these in it."""
        self.expected += texts

    def close(self) -> None:
        """Unmount or kill everything; then look at the logs, and at the store."""
        left = [problem for mounted in self.mounted for problem in self._end(mounted)]
        for place in self.places:
            while find_mount_point(str(place)) is not None:
                left.append(f"{place}: still mounted")
                subprocess.run(["umount", "-l", place], check=False)
        noise = [line for mounted in self.mounted for line in self._find_noise(mounted)]
        self.close_store()
        assert not left, left
        assert not noise, noise
        store = open_store(self.address, create=True)
        try:
            self._check(store)
        finally:
            store.close()

    def _check(self, store: Store) -> None:
        report = check_store(store)
        assert report.is_clean != self.is_damaged, report

    def _end(self, mounted: Mounted) -> list[str]:
        problems: list[str] = []
        if is_running(mounted.pid):
            mounted.signal(signal.SIGCONT)
            try:
                mounted.client.unmount()
            except (VolfsError, OSError) as error:
                problems.append(f"{mounted.path}: {error}")
                os.kill(mounted.pid, signal.SIGKILL)
            mounted.wait_for_end()
        if mounted.process is not None and mounted.process.stderr is not None:
            mounted.process.wait(DEADLINE)
            mounted.process.stderr.close()
        if mounted.is_mounted and mounted.is_cut_off():
            subprocess.run(["umount", "-l", mounted.path], check=False)
        return problems

    def _find_noise(self, mounted: Mounted) -> list[str]:
        if not mounted.log.is_file():
            return []
        lines = mounted.log.read_text(errors="replace").splitlines()
        levels = (" WARNING ", " ERROR ", " CRITICAL ", "Traceback")
        loud = {line for line in lines if any(level in line for level in levels)}
        return [line for line in loud if not any(text in line for text in self.expected)]
