"""An open store: descriptors of its files as they were opened, and the proof that the address
still leads to them.

The directory of a store can be replaced under the processes that have it open: restored from a
backup, renamed, covered by another disk. A process that goes on writing then writes to files that
nobody will read, or to another store. Therefore everything below the directory is opened from its
descriptor. Before each change, and again before the change is acknowledged, the files that the
address leads to are compared with those that are open (docs/decisions/0023-proof-of-place.md).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from volfs.errors import StoreReplacedError
from volfs.store.anchor import DIRECTORY, anchored, find_place
from volfs.store.checked_lmdb.environment import store_errors
from volfs.store.checked_lmdb.pages import DATA, LOCK, list_open_files
from volfs.system.directories import Identity


def identify(state: os.stat_result) -> Identity:
    return state.st_dev, state.st_ino


class _Intact(Protocol):
    @property
    def is_intact(self) -> bool: ...


T = TypeVar("T", bound=_Intact)


def find_intact(opened: Mapping[Identity, T], address: Path) -> T | None:
    """What has the present files of a directory open, or None. Whoever has files open that were
    replaced is left to end with its handles."""
    try:
        found = opened.get(identify(address.stat()))
    except OSError:
        return None  # The caller opens the directory, and reports the error.
    return found if found is not None and found.is_intact else None


class _Known(NamedTuple):
    """A file as it was when it was opened."""

    name: str
    descriptor: int
    identity: Identity


class StoreHandle:
    """The directory of an open store. Thread-safe, except the methods that open and close."""

    def __init__(self, address: Path) -> None:
        self.path = address.resolve()
        self._addresses: tuple[str, ...] = (str(address),)
        with store_errors(f"store {self.path}"):
            self.directory = os.open(address, DIRECTORY)
        self.identity = identify(os.fstat(self.directory))
        self.base = anchored(self.directory)
        """A path to the directory in which its name has no part."""

    def open_directory(self, name: str) -> int:
        """Open a directory below, and return its descriptor."""
        with store_errors(f"{self.path / name}"):
            return os.open(name, DIRECTORY, dir_fd=self.directory)

    def add_address(self, address: Path) -> None:
        """Add another path by which somebody opened the store. It must lead to this directory,
        too."""
        self._addresses = (*self._addresses, str(address))

    def drop_address(self, address: Path) -> None:
        left = list(self._addresses)
        left.remove(str(address))
        self._addresses = tuple(left)

    def prove(self) -> None:
        """Raise StoreReplacedError unless all addresses still lead to this directory. OSError."""
        for address in self._addresses:
            found = _find(address, None)
            if found != self.identity and not _is_still(found, self.directory):
                shown = "" if address == str(self.path) else f" at {address}"
                raise self.refuse(f"the directory{shown}", found)

    def refuse(self, what: str, found: Identity | None) -> StoreReplacedError:
        """The error if ``what`` is another file than was opened, or is gone."""
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
    """The proof that some files of a store are those that were opened."""

    def __init__(self, handle: StoreHandle) -> None:
        self._handle = handle
        self._known: tuple[_Known, ...] = ()

    def watch(self, *names: str) -> None:
        """Open these files, by their paths in the store, and remember them as they are now.
        StoreError."""
        handle = self._handle
        for name in names:
            with store_errors(f"{handle.path / name}"):
                descriptor = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=handle.directory)
            known = _Known(name, descriptor, identify(os.fstat(descriptor)))
            self._known = (*self._known, known)

    def watch_environment(self, name: str) -> None:
        """Watch the files that LMDB has open there. StoreReplacedError if other files are there
        now."""
        for file in (DATA, LOCK):
            with store_errors(f"{self._handle.path / name}"):
                is_there = (self._handle.base / name / file).exists()
                opened = _list_open(file)
            if is_there:
                self.watch(f"{name}/{file}")
                if self._known[-1].identity not in opened:
                    raise self._handle.refuse(f"{name}/{file}", self._known[-1].identity)

    def check(self) -> None:
        """Raise StoreReplacedError unless the store's address leads to all watched files.

        This is done for every change. It costs one look at the name of each file.
        """
        try:
            self._handle.prove()
            self._compare()
        except OSError as error:
            with store_errors(f"store {self._handle.path}"):
                raise
            raise AssertionError from error

    def check_files(self) -> None:
        """As ``check``, but in the directory that is open, whatever its address leads to."""
        with store_errors(f"store {self._handle.path}"):
            self._compare()

    def _compare(self) -> None:
        handle = self._handle
        for name, descriptor, identity in self._known:
            found = _find(name, handle.directory)
            if found != identity and not _is_still(found, descriptor):
                raise handle.refuse(name, found)

    def close(self) -> None:
        """Close the watched files."""
        known, self._known = self._known, ()
        for each in known:
            os.close(each.descriptor)


def _find(path: str, directory: int | None) -> Identity | None:
    """The file that a path leads to. None if it leads nowhere. OSError."""
    try:
        return identify(os.stat(path, dir_fd=directory))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _list_open(name: str) -> set[Identity]:
    """The files of this name that this process has open."""
    found = set()
    for descriptor in list_open_files(name):
        with suppress(OSError):  # Another thread has closed it.
            found.add(identify(os.fstat(descriptor)))
    return found


def _is_still(found: Identity | None, descriptor: int) -> bool:
    """Whether the found file is the open one. Some file systems give an open file another
    number."""
    return found is not None and found == identify(os.fstat(descriptor))
