"""A container's own /tmp and /var/tmp: directories on the disk, removed at its end.

The process that made one holds a lock on it, and so does the guard, which removes the directory if
that process is killed. The owner of the next container removes what both have left.
"""

# ruff: noqa: PTH101, PTH102, PTH103, PTH110, PTH112, PTH117, PTH118 - paths are text here
from __future__ import annotations

import contextlib
import os
import posixpath
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping

from volfs.containers.bwrap_layout import Shown
from volfs.containers.guarding import Guard
from volfs.errors import MountError
from volfs.system.locks import lock_directory

SHARE = "VOLFS_SHARE_TMP"
"""The environment variable that lets containers see the machine's directories instead."""
PLACES = {"/tmp": "tmp", "/var/tmp": "var-tmp"}
_HOME, _PREFIX = "/var/tmp", "volfs-tmp-"
_NOT_SHOWN = {"TMPDIR", "TEMP", "TMP", "PWD", "OLDPWD"}
_MODULES = (".py", ".so")


class Temporary:
    """The own directories of one container. Call ``remove`` when nothing uses them."""

    def __init__(self, guard: Guard) -> None:
        """MountError if they cannot be made."""
        _remove_left()
        try:
            self.path, self._lock = _make()
            for name in PLACES.values():
                os.mkdir(f"{self.path}/{name}")
                os.chmod(f"{self.path}/{name}", 0o1777)
        except OSError as error:
            raise MountError(f"a container's /tmp cannot be made: {error}") from error
        self._guard = guard
        guard.add_directory(self.path, self._lock)

    def remove(self) -> None:
        """Remove the directories. May be called again."""
        if self._lock >= 0:
            remove_tree(self.path)
            self._guard.remove_directory(self.path)
            os.close(self._lock)
            self._lock = -1

    def show(self) -> list[Shown]:
        """The directories, to be shown in place of the machine's."""
        places = {os.path.realpath(place): name for place, name in PLACES.items()}
        return [Shown(f"{self.path}/{name}", place) for place, name in places.items()]

    def make_inside(self, path: str | None) -> None:
        """Make the directory that the container's TMPDIR names, if that is in its /tmp or
        /var/tmp."""
        for place, name in PLACES.items():
            if path and path != place and is_within(path, place):
                os.makedirs(f"{self.path}/{name}/{posixpath.relpath(path, place)}", exist_ok=True)


def show_paths(paths: Iterable[str], taken: Iterable[str]) -> list[Shown]:
    """The paths of the machine that would be hidden, to be shown all the same, except those that
    lie within ``taken``."""
    wanted = {path for one in paths for path in _expand(one)}
    outer = [one for one in taken if one not in PLACES]
    found: list[Shown] = []
    for path in sorted(wanted, key=len):  # outer ones first
        if not any(is_within(path, one) for one in outer):
            outer.append(path)
            found.append(Shown(os.path.realpath(path), path, False, os.path.isdir(path)))
    return found


def is_private(path: str) -> bool:
    """Whether a container's own directories hide this path of the machine."""
    return any(is_within(path, place) for place in PLACES)


def is_within(path: str, outer: str) -> bool:
    return path == outer or path.startswith(f"{outer}/")


def find_named(environment: Mapping[str, str]) -> Iterator[str]:
    """The paths that environment variables name: sockets, caches, search paths."""
    for name, value in environment.items():
        if name not in _NOT_SHOWN:
            yield from value.split(os.pathsep)


def _expand(path: str) -> Iterator[str]:
    """The paths to show for one path. For /tmp or /var/tmp itself these are only its Python
    modules."""
    path = os.path.normpath(path)
    if not os.path.isabs(path) or not is_private(path) or not os.path.exists(path):
        return
    if path not in PLACES:
        yield path
        return
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.endswith(_MODULES) or os.path.exists(f"{entry.path}/__init__.py"):
                yield entry.path


def _make() -> tuple[str, int]:
    home = _HOME if os.access(_HOME, os.W_OK | os.X_OK) else tempfile.gettempdir()
    while True:
        path = tempfile.mkdtemp(prefix=_PREFIX, dir=home)
        lock = lock_directory(path)
        if lock is not None:
            return path, lock


def _remove_left() -> None:
    """Remove our directories that nobody has a lock on. Best effort."""
    for home in {_HOME, tempfile.gettempdir()}:
        with contextlib.suppress(OSError), os.scandir(home) as entries:
            for entry in [one for one in entries if one.name.startswith(_PREFIX)]:
                _remove_if_left(entry.path)


def _remove_if_left(path: str) -> None:
    with contextlib.suppress(OSError):
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return
        lock = lock_directory(path)
        if lock is not None:
            remove_tree(path)
            os.close(lock)


def remove_tree(path: str) -> None:
    """Remove a directory with all its contents, even those that its owner may not enter. Follows
    no link. Best effort."""
    for _ in range(2):
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.lexists(path):
            return
        for directory, names, _files in os.walk(path):
            for name in ("", *names):
                with contextlib.suppress(OSError):
                    os.chmod(os.path.join(directory, name), 0o700, follow_symlinks=False)
