"""The machine's own file system, as ``layout`` asks for it."""

from __future__ import annotations

import os
import stat

from volfs.containers.bwrap_layout import HostFileType
from volfs.errors import MountError


class LocalHost:
    """The file system of this machine. MountError for a directory that cannot be read."""

    def resolve(self, path: str) -> str:
        return os.path.realpath(path)

    def find_type(self, path: str) -> HostFileType | None:
        try:
            mode = os.lstat(path).st_mode
        except OSError:  # a dead mount counts as absent
            return None
        if stat.S_ISLNK(mode):
            return "link"
        return "directory" if stat.S_ISDIR(mode) else "other"

    def list_names(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except OSError as error:
            raise MountError(
                f"{path}: {error.strerror}: what is to be mounted in it must be there"
            ) from error

    def read_link(self, path: str) -> str:
        return os.readlink(path)

    def read_mode(self, path: str) -> int:
        return stat.S_IMODE(os.lstat(path).st_mode)
