"""The session that this process owns: its directory with lock, catalog and scratch.

``volfs/sessions`` reads sessions of other processes.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from volfs.daemon.mount_options import MountOptions
from volfs.errors import MountError, StoreError, StoreUnavailableError
from volfs.errors.fault_points import reached
from volfs.sessions.device import encode_device
from volfs.sessions.facts import (
    CATALOG,
    DEVICE,
    FACTS,
    LOCK,
    REMOVED,
    SCRATCH,
    SessionFacts,
    encode_facts,
)
from volfs.sessions.notes import forget_note, is_noted, read_note, write_note
from volfs.sessions.places import session_name
from volfs.store.anchor import DIRECTORY, anchored, find_place
from volfs.store.clock import now_ns
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.system.directories import OpenTree, list_directory, remove_tree
from volfs.system.files import remove_file, replace_file, sync_directory

log = logging.getLogger(__name__)


class SessionBusyError(MountError):
    """A living daemon has the session."""


class OpenSession:
    """A session directory whose lock this process holds.

    Everything in it is reached from a descriptor. If the store's directory is replaced, the
    overlay stays where it is, and what has come to its place is left alone.
    """

    def __init__(self, path: Path, lock: IO[bytes], *, is_new: bool = False) -> None:
        self.path = path
        self.is_new = is_new
        self._lock = lock
        self._directory = os.open(path, DIRECTORY)
        self._inside = anchored(self._directory)

    @property
    def catalog(self) -> Path:
        return self._inside / CATALOG

    @property
    def scratch(self) -> Path:
        return self._inside / SCRATCH

    @property
    def has_begun(self) -> bool:
        """Whether a daemon ever had an overlay here."""
        return (self._inside / FACTS).exists()

    def find_place(self) -> Path | None:
        """The present place of the directory; None if it was deleted."""
        return find_place(self._directory)

    def note_place(self) -> None:
        """Note outside of the store which directory is the session's. Raises nothing."""
        place = self.find_place()
        if place is not None:
            write_note(self.path, place)

    def forget_place(self) -> None:
        """Drop the note at this place, because the session ends.

        A new session drops the note only if it is about its own directory.
        """
        note = read_note(self.path)
        if note is not None and (not self.is_new or is_noted(self._inside / ".", note)):
            forget_note(self.path)

    def write_facts(self, facts: SessionFacts) -> None:
        """Replace ``session.json`` as a whole. It and the directory are durable when this
        returns."""
        replace_file(self._inside / FACTS, encode_facts(facts), beside=f"{FACTS}.new")
        sync_directory(self._inside / "..")

    def write_device(self, device: tuple[int, int], store: Store) -> None:
        """Note which mount is served. The note means nothing once this process has ended."""
        said = encode_device(device, self.path, store.local).encode()
        replace_file(self._inside / DEVICE, said, beside=f"{DEVICE}.new", durable=False)

    def forget_device(self) -> None:
        """Drop the note of the device, because the mount is gone and its number may become
        another's."""
        if self._directory >= 0:
            forget_device(self._inside)

    def close(self) -> None:
        """Close the directory. It stays, with the overlay in it."""
        if not self._lock.closed:  # Otherwise the directory may be another process's by now.
            forget_device(self._inside)
            self._lock.close()
        descriptor, self._directory = self._directory, -1
        if descriptor >= 0:
            os.close(descriptor)

    def remove(self) -> None:
        """Delete the directory, because everything in it has been committed or discarded.

        It gets a new name at once that nobody takes for a session. If a crash leaves it, the next
        session that ends deletes it.
        """
        place, around = self.find_place(), self._inside / ".."
        if place is not None:
            removed = f"{place.name}.{secrets.token_hex(4)}{REMOVED}"
            (around / place.name).rename(around / removed)
        reached("end.renamed")
        _sweep(around)
        self._lock.close()


def _sweep(directory: Path) -> None:
    """Delete directories that were removed; best effort. By descriptor, because others may put
    links there."""
    with suppress(OSError), OpenTree(os.fsencode(directory)) as tree, tree.top.opened() as fd:
        for name, status in list_directory(fd):
            if name.endswith(os.fsencode(REMOVED)) and stat.S_ISDIR(status.st_mode):
                with suppress(OSError):
                    remove_tree(name, fd)


def end_session(store: Store, session: OpenSession) -> None:
    """Remove the session's directory, and then its lease."""
    reached("end.committed")
    session.forget_place()
    session.remove()
    reached("end.removed")
    try:
        store.leases.drop(session_name(store, session.path))
    except StoreError as error:
        log.warning("lease: %s; it is dropped by the next gc", error)


def make_facts(options: MountOptions, volume: VolumeRecord, version: int) -> SessionFacts:
    return SessionFacts(
        volume.id,
        volume.full_name,
        options.mountpoint,
        os.getpid(),
        version,
        now_ns(),
        options.is_read_only,
        options.sub_path or "",
    )


def forget_device(path: Path) -> None:
    with suppress(OSError):
        remove_file(path / DEVICE)


def own(path: Path, lock: IO[bytes], *, is_new: bool = False) -> OpenSession:
    """Open the session at a path that has this lock. StoreUnavailableError if it was replaced
    meanwhile."""
    session = OpenSession(path, lock, is_new=is_new)
    try:
        if os.path.samestat(os.fstat(lock.fileno()), (session.catalog.parent / LOCK).stat()):
            return session
    except OSError:
        pass
    session.close()
    raise StoreUnavailableError(f"{path}: it was replaced just now; try again")
