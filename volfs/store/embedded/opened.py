"""The parts of one open store, wired together, and the proof that it is still in its place."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from volfs.errors import DamagedObjectError, StoreReplacedError, VolfsError
from volfs.store.anchor import anchored
from volfs.store.checked_lmdb.ballast import Ballast
from volfs.store.checked_lmdb.environment import LmdbEnvironment
from volfs.store.embedded.data.index import Index
from volfs.store.embedded.data.pack_files import list_files
from volfs.store.embedded.data.packs import Packs
from volfs.store.embedded.place.acknowledged import Acknowledged, Point
from volfs.store.embedded.place.handle import Proof
from volfs.store.embedded.place.layout import (
    FORMAT,
    INDEX,
    PACKS,
    VERSION,
    lock_store,
    open_handle,
    read_version,
    say_former,
)
from volfs.store.embedded.refs.held_leases import HeldLeases
from volfs.store.embedded.refs.leases import LeaseRows
from volfs.store.embedded.refs.name_log import NAME_LOG, NameLog
from volfs.store.embedded.refs.refs import RefRows
from volfs.store.embedded.refs.roots import Roots
from volfs.store.embedded.refs.tags import Tags
from volfs.store.holds import Holds

log = logging.getLogger(__name__)


class Engine:
    """The parts of one open store, shared by all its handles in this process.

    LMDB forbids opening an environment twice in a process, and caches and writers are better
    shared anyway: see ``open_embedded``.
    """

    def __init__(self, address: Path) -> None:
        with ExitStack() as stack:
            self.handle = open_handle(address)
            stack.callback(self.handle.close)
            self.path = self.handle.path
            self.handles = 0
            self.missed: Point | None = None
            """What this machine saw acknowledged, if the index is older than that."""
            self.notes: dict[Path, Acknowledged] = {}
            """The notes about the store, by the addresses by which it was opened, and by its real
            path."""
            stack.callback(self._close_notes)
            lock = lock_store(self.handle, alone=False)
            stack.callback(os.close, lock)
            packs = self.handle.open_directory(PACKS)
            stack.callback(os.close, packs)
            self.proof = Proof(self.handle)
            stack.callback(self.proof.close)
            self.proof.watch(FORMAT, PACKS)
            self.directory = anchored(packs)
            version = read_version(self.path, lock)
            refused = say_former(self.path) if version < VERSION else ""
            self.environment = self._open_environment(refused)
            stack.callback(self.environment.close)
            self.index = Index(self.environment)
            self._check_index()
            if self.environment.is_writable:
                self.proof.watch_environment(INDEX)
            self.proof.check()
            self._wire(lock)
            self.compare_at(self.path, address)
            self._closing = stack.pop_all()

    def compare_at(self, *paths: Path) -> None:
        """Compare the index with this machine's notes about the store, and warn if the index lacks
        something."""
        try:
            identity, epoch = self.index.get_identity()
        except VolfsError:
            return  # The index has no identity yet, and cannot be written. Nobody commits there.
        for path in {*paths} - self.notes.keys():
            note = Acknowledged(identity, epoch, path)
            missed = note.compare(self.environment.count_transactions())
            self.notes = {**self.notes, path: note}
            if missed is not None and self.missed is None:
                self.missed = missed
                log.warning("%s", describe_missed(path, missed))

    def _note(self, transaction: int) -> None:
        for note in self.notes.values():
            note.note(transaction)

    def _close_notes(self) -> None:
        for note in self.notes.values():
            note.close()

    def _wire(self, lock: int) -> None:
        self.names = NameLog(self.handle.base / NAME_LOG, self.proof.check)
        self.refs = RefRows(self.environment, self.names)
        self.leases = LeaseRows(self.environment, self.refs)
        self.tags = Tags(self.environment, self.refs, self.names)
        self.holds = Holds(anchored(lock))
        self.held_leases = HeldLeases(self.environment, self.refs, self.holds)
        self.roots = Roots(self.index, self.refs, self.leases, self.holds)
        self.packs = Packs(self.directory, self.index, self.proof.check, self._may_reclaim)
        self.objects = self.packs.objects

    def _open_environment(self, refused: str) -> LmdbEnvironment:
        place = self.handle.base / INDEX
        try:
            return LmdbEnvironment(
                place,
                prove=self.proof.check,
                ballast=Ballast(place),
                refused=refused,
                when_acknowledged=self._note,
                make_room=self._make_room,
            )
        except DamagedObjectError as error:
            raise DamagedObjectError(f"{error}; `volfs rebuild-index` makes a new one") from error

    def _check_index(self) -> None:
        """DamagedObjectError if there are packs that the index does not know."""
        has_allocated = self.index.has_allocated
        # Asked again after looking, because an id is allocated before there is a file.
        if not has_allocated() and list_files(self.directory) and not has_allocated():
            raise DamagedObjectError(
                f"store {self.path}: its index is lost; `volfs rebuild-index` makes it again from "
                "the packs"
            )

    def _make_room(self) -> None:
        self.packs.pool.reclaim()

    def _may_reclaim(self) -> bool:
        """The packs may have records that were acknowledged and that an older index lacks."""
        return self.missed is None

    @property
    def is_intact(self) -> bool:
        """Whether the directory still has the files that were opened."""
        try:
            self.proof.check_files()
        except StoreReplacedError:
            return False
        return True

    def close(self) -> None:
        self.held_leases.close()
        self.packs.close()
        self._closing.close()


def describe_missed(path: Path, missed: Point) -> str:
    when = datetime.fromtimestamp(missed.at_ns / 1e9).astimezone()
    return (
        f"store {path}: its index is older than what was acknowledged here until "
        f"{when:%Y-%m-%d %H:%M:%S}: a backup was restored, or the disk has lost writes. What was "
        "committed since may be missing; `volfs check --accept` when you know that"
    )
