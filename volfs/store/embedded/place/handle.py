"""An open store: descriptors of what it was when it was opened, and the proof that it still is.

The directory of a store can be replaced under the processes that have it open: restored
from a backup, renamed, covered by another disk. Who goes on writing then writes to what
nobody will read, or to another store. So everything below the directory is opened from
its descriptor, and before each change, and again before it is acknowledged, the files
that the address leads to are compared with those that are open
(docs/decisions/0023-proof-of-place.md).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from volfs.errors import StoreReplacedError
from volfs.store.anchor import DIRECTORY, anchored, find_place
from volfs.store.checked_lmdb.environment import store_errors
from volfs.store.checked_lmdb.pages import DATA, LOCK, list_open_files

Identity = tuple[int, int]
"""Device and inode number. No other file gets them as long as this one is open."""


def identify(state: os.stat_result) -> Identity:
    return state.st_dev, state.st_ino


class _Known(NamedTuple):
    """A file as it was when it was opened."""

    name: str
    descriptor: int
    identity: Identity


class StoreHandle:
    """The directory of an open store. Thread-safe but for what opens and closes."""

    def __init__(self, address: Path) -> None:
        self.path = address.resolve()
        self._addresses: tuple[str, ...] = (str(address),)
        with store_errors(f"store {self.path}"):
            self.directory = os.open(address, DIRECTORY)
        self.identity = identify(os.fstat(self.directory))
        self.base = anchored(self.directory)
        """The directory, as a path that its name has no part in."""

    def open_directory(self, name: str) -> int:
        """A descriptor of a directory below."""
        with store_errors(f"{self.path / name}"):
            return os.open(name, DIRECTORY, dir_fd=self.directory)

    def add_address(self, address: Path) -> None:
        """Another path by which somebody opened it: it has to lead here, too."""
        self._addresses = (*self._addresses, str(address))

    def drop_address(self, address: Path) -> None:
        left = list(self._addresses)
        left.remove(str(address))
        self._addresses = tuple(left)

    def prove(self) -> None:
        """StoreReplacedError unless the addresses still lead to this directory. OSError."""
        for address in self._addresses:
            found = _find(address, None)
            if found != self.identity and not _is_still(found, self.directory):
                shown = "" if address == str(self.path) else f" at {address}"
                raise self.refuse(f"the directory{shown}", found)

    def refuse(self, what: str, found: Identity | None) -> StoreReplacedError:
        """What is said where ``what`` is another file than was opened, or none."""
        problem = "is not what was opened" if found else "is gone"
        return StoreReplacedError(
            f"store {self.path}: {what} {problem}: the store was replaced, moved or unmounted "
            f"while it was in use{self._say_where()}; nothing was written to it"
        )

    def _say_where(self) -> str:
        place = find_place(self.directory)
        if place is None:
            return " (what was opened is deleted)"
        return f" (what was opened is at {place})" if place != self.path else ""

    def close(self) -> None:
        os.close(self.directory)


class Proof:
    """Some files of a store, and that they are those which were opened."""

    def __init__(self, handle: StoreHandle) -> None:
        self._handle = handle
        self._known: tuple[_Known, ...] = ()

    def watch(self, *names: str) -> None:
        """Know these files, by their paths in the store, as they are now. StoreError."""
        handle = self._handle
        for name in names:
            with store_errors(f"{handle.path / name}"):
                descriptor = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=handle.directory)
            known = _Known(name, descriptor, identify(os.fstat(descriptor)))
            self._known = (*self._known, known)

    def watch_environment(self, name: str) -> None:
        """Know the files that LMDB has open there. StoreReplacedError if it has others."""
        for file in (DATA, LOCK):
            with store_errors(f"{self._handle.path / name}"):
                is_there = (self._handle.base / name / file).exists()
                opened = _list_open(file)
            if is_there:
                self.watch(f"{name}/{file}")
                if self._known[-1].identity not in opened:
                    raise self._handle.refuse(f"{name}/{file}", self._known[-1].identity)

    def check(self) -> None:
        """StoreReplacedError unless the store's address leads to all of them.

        This is asked for every change: it costs a look at the name of each.
        """
        try:
            self._handle.prove()
            self._compare()
        except OSError as error:
            with store_errors(f"store {self._handle.path}"):
                raise
            raise AssertionError from error

    def check_files(self) -> None:
        """As ``check``, of the directory that is open, whatever its address leads to."""
        with store_errors(f"store {self._handle.path}"):
            self._compare()

    def _compare(self) -> None:
        handle = self._handle
        for name, descriptor, identity in self._known:
            found = _find(name, handle.directory)
            if found != identity and not _is_still(found, descriptor):
                raise handle.refuse(name, found)

    def close(self) -> None:
        """Forget them."""
        known, self._known = self._known, ()
        for each in known:
            os.close(each.descriptor)


def _find(path: str, directory: int | None) -> Identity | None:
    """What a path leads to; None where it leads nowhere. OSError."""
    try:
        return identify(os.stat(path, dir_fd=directory))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _list_open(name: str) -> set[Identity]:
    """The files of that name that this process has open."""
    found = set()
    for descriptor in list_open_files(name):
        with suppress(OSError):  # another thread has closed it
            found.add(identify(os.fstat(descriptor)))
    return found


def _is_still(found: Identity | None, descriptor: int) -> bool:
    """Whether that is what is open: some file systems give an open file another number."""
    return found is not None and found == identify(os.fstat(descriptor))
