"""The directories of a store itself. Nothing is put from them, and nothing is written into them.

They are known by device and inode number, so that a symlink, a bind mount or another path to one
of them is recognised, too.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from volfs.errors import LocalFileError
from volfs.model.text import show
from volfs.store.contract.store import Store
from volfs.system.directories import (
    Identity,
    OpenTree,
    identify,
    list_directory,
)


class StorePlaces:
    """The directories of one store, as they are when this is made; none if the store is not a
    directory."""

    def __init__(self, store: Store) -> None:
        self._found = _find_directories(store.local)

    def check_outside(self, shown: bytes, identity: Identity) -> None:
        """LocalFileError if a directory is one of the store's."""
        if identity in self._found:
            raise LocalFileError(
                f"{show(shown)}: is a directory of the store itself; its files belong to volfs"
            )

    def check_path(self, path: bytes) -> None:
        """LocalFileError if a path is one of the store's directories, or lies in one.

        Names at the end of the path that do not exist yet count as what they will be in.
        """
        for place in _iter_upward(os.path.realpath(path)):
            try:
                status = os.stat(place)
            except OSError:
                continue
            self.check_outside(path, identify(status))


def _iter_upward(path: bytes) -> list[bytes]:
    places = [path]
    while os.path.dirname(places[-1]) != places[-1]:
        places.append(os.path.dirname(places[-1]))
    return places


def _find_directories(store: Path) -> set[Identity]:
    try:
        tree = OpenTree(os.fsencode(store))
    except OSError:
        return set()
    with tree:
        waiting = [tree.top]
        found = set()
        while waiting:
            directory = waiting.pop()
            try:
                with directory.opened() as fd:
                    found.add(identify(os.fstat(fd)))
                    names = list_directory(fd)
            except OSError:  # A session may end at this moment.
                continue
            waiting += [directory.below(n) for n, s in names if stat.S_ISDIR(s.st_mode)]
        return found
