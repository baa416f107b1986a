"""A bucket of a SeaweedFS on loopback, and the ways to mount it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import obstore
from obstore.store import S3Store

from bench.workplace import VOLFS, Workplace, unmount_anyhow
from tests.harness.bucket_servers import create_s3_bucket, environment_of
from tests.harness.servers import SeaweedServer
from volfs.control.mounts import find_mount_point

MIB = 1 << 20
AT_ONCE = 16
PART, THREADS = 8 * MIB, 4
"""The ranges of an object, and how many at once, that read it fastest through obstore."""
UP_SECONDS = 60.0


def open_raw(server: SeaweedServer, name: str) -> S3Store:
    """A bucket of the server as obstore reaches it."""
    return S3Store(
        name,
        endpoint=server.endpoint,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        region="us-east-1",
        client_options={"allow_http": True},
        virtual_hosted_style_request=False,
    )


class BucketPlace:
    """A context manager. ``store`` sends raw requests."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self.folder = place.directory / place.new_name("bucket")
        self.server = SeaweedServer(self.folder / "server")
        self.name = create_s3_bucket(self.server)
        self.variables = environment_of(self.server) | {
            "VOLFS_STATE_DIR": str(self.folder / "state"),
            "VOLFS_CACHE_DIR": str(self.folder / "cache"),
        }
        self.store = open_raw(self.server, self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.close()

    # --- raw requests ----------------------------------------------------

    def put_many(self, folder: str, count: int, data: bytes) -> None:
        """So many objects, ``AT_ONCE`` at once."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(
                pool.map(lambda n: obstore.put(self.store, f"{folder}/f{n:06}", data), range(count))
            )

    def read_raw(self, key: str, size: int) -> None:
        """An object by ranges, which nobody keeps."""

        def read(start: int) -> int:
            end = min(start + PART, size)
            return len(obstore.get_range(self.store, key, start=start, end=end))

        with ThreadPoolExecutor(THREADS) as pool:
            assert sum(pool.map(read, range(0, size, PART))) == size

    def list_raw(self, folder: str) -> int:
        """How many objects a folder has, without its marker."""
        found = obstore.list_with_delimiter(self.store, f"{folder}/")["objects"]
        return sum(info["path"] != folder for info in found)

    # --- mounts ----------------------------------------------------------

    def find_mounters(self) -> dict[str, Callable[[Path], None]]:
        """What mounts the bucket at a directory: volfs, and the others that are installed."""
        found: dict[str, Callable[[Path], None]] = {"volfs": self._mount_volfs}
        if find_program("rclone"):
            found["rclone"] = self._mount_rclone
        if find_program("s3fs"):
            found["s3fs"] = self._mount_s3fs
        return found

    @contextmanager
    def mounted(self, who: str) -> Iterator[Path]:
        """The bucket by a new mount, which has nothing cached."""
        for cache in ("cache", "rclone-cache"):
            shutil.rmtree(self.folder / cache, ignore_errors=True)
        path = self.folder / self._place.new_name("mnt")
        path.mkdir(parents=True)
        self.find_mounters()[who](path)
        try:
            yield path
        finally:
            self._unmount(who, path)
            path.rmdir()

    def _unmount(self, who: str, path: Path) -> None:
        if who == "volfs":
            self._place.volfs("bucket", "umount", str(path), variables=self.variables)
            unmount_anyhow(path)
        else:
            subprocess.run(["umount", "-l", "-i", str(path)], check=False)

    def _mount_volfs(self, path: Path) -> None:
        self._place.volfs(
            "bucket", "mount", f"s3://{self.name}/", str(path), variables=self.variables
        )

    def _mount_rclone(self, path: Path) -> None:
        # Everybody can read the arguments of a process, so the keys are in its environment.
        keys = {
            "RCLONE_S3_ACCESS_KEY_ID": self.server.access_key,
            "RCLONE_S3_SECRET_ACCESS_KEY": self.server.secret_key,
        }
        remote = f':s3,provider=Other,endpoint="{self.server.endpoint}",region=us-east-1'
        options = ("--daemon", "--vfs-cache-mode=writes", f"--cache-dir={self.folder}/rclone-cache")
        what = f"{remote}:{self.name}"
        self._run("rclone", "mount", what, str(path), *options, "--config=/dev/null", keys=keys)
        _wait_for(path)

    def _mount_s3fs(self, path: Path) -> None:
        passwd = self.folder / "s3fs-passwd"
        passwd.write_text(f"{self.server.access_key}:{self.server.secret_key}\n")
        passwd.chmod(0o600)
        options = f"url={self.server.endpoint},use_path_request_style,passwd_file={passwd}"
        self._run("s3fs", self.name, str(path), "-o", options)
        _wait_for(path)

    def _run(self, program: str, *arguments: str, keys: Mapping[str, str] | None = None) -> None:
        command = [find_program(program) or program, *arguments]
        subprocess.run(command, check=True, env=os.environ | dict(keys or {}))


def find_program(name: str) -> str | None:
    """A program beside Python, or on the path."""
    beside = VOLFS.with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def _wait_for(path: Path) -> None:
    """Return when something is mounted there."""
    end = time.monotonic() + UP_SECONDS
    while find_mount_point(str(path)) is None:
        if time.monotonic() > end:
            sys.exit(f"bench: {path}: nothing is mounted there after {UP_SECONDS:.0f} s")
        time.sleep(0.05)
