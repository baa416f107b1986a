"""Where a plugin mounts: a directory for each container of a volume, and a count of its requests.

Docker names each mount by an id, and may ask for one several times: `docker cp` asks again for the
mounts of a running container. So the plugin counts. The counts are beside the mount points, in the
runtime directory: they outlive the plugin, and are gone when the machine starts again, as the
mounts are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from volfs.control.mounts import find_mount_point, list_mount_points
from volfs.control.runtime import open_directory, runtime_directory
from volfs.docker.docker_volumes import check_docker_name
from volfs.errors import MountError
from volfs.system.files import replace_file
from volfs.system.locks import lock_directory

_COUNT = ".holders"


class MountPlaces:
    """The mount points of one plugin. A lock keeps others of the same name out until ``close``."""

    def __init__(self, driver: str) -> None:
        """MountError if another plugin of this name is running, or if others than we can change
        the runtime directory."""
        self._driver = check_docker_name(driver)
        self._directory = runtime_directory() / "docker" / driver
        self._make(self._directory)
        lock = lock_directory(os.fspath(self._directory))
        if lock is None:
            raise MountError(f"another plugin named {driver} is running; --socket names this one")
        self._lock = lock

    def close(self) -> None:
        os.close(self._lock)

    def place(self, volume: str, mount_id: str) -> Path:
        """The mount point for an id. It may not exist yet."""
        return self._directory / check_docker_name(volume) / check_docker_name(mount_id)

    def make(self, place: Path) -> None:
        """Make the directory of a mount point. MountError."""
        if find_mount_point(os.fspath(place)) is None:
            self._make(place)

    def count(self, place: Path) -> int:
        """How many requests for the mount at a place have not been followed by an unmount."""
        try:
            return int(_count_file(place).read_bytes())
        except (FileNotFoundError, ValueError):
            return 0

    def put_count(self, place: Path, count: int) -> None:
        replace_file(_count_file(place), b"%d" % count, durable=False)

    def forget(self, place: Path) -> None:
        """Forget the count of a place, and remove the place unless something is mounted there."""
        _count_file(place).unlink(missing_ok=True)
        if find_mount_point(os.fspath(place)) is None:
            for directory in (place, place.parent):
                with suppress(OSError):  # other mounts of the volume are in it
                    directory.rmdir()

    def iter_mounted(self, volume: str) -> Iterator[Path]:
        """Yield where a volume is mounted."""
        above = self._directory / check_docker_name(volume)
        for mount in list_mount_points():
            if Path(mount.path).parent == Path(os.path.realpath(above)):
                yield Path(mount.path)

    def _make(self, directory: Path) -> None:
        try:
            os.close(open_directory(directory, {os.geteuid()}, create=True))
        except OSError as error:
            raise MountError(f"{directory}: cannot be made: {error.strerror}") from error


def _count_file(place: Path) -> Path:
    return place.with_name(place.name + _COUNT)
