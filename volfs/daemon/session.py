"""A session: one mount's life, and its directory with lock, catalog and scratch.

The directory is named after the volume and the mount point, so the next mount
of that volume at that place finds what a dead daemon left, and takes it over.
Mount namespaces may each have a mount there: from the second on, its directory
has a number, too. ``volfs/volume/sessions.py`` reads them for everybody else.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO

import msgspec

from volfs.daemon.options import MountOptions
from volfs.daemon.session_notes import forget_note, is_noted, read_note, write_note
from volfs.errors import (
    AlreadyExistsError,
    MountError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
)
from volfs.errors.faults import reached
from volfs.model.names import join_path, parse_path
from volfs.store.anchor import DIRECTORY, anchored, find_place
from volfs.store.base import Store, VolumeRecord
from volfs.store.clock import now_ns
from volfs.system.directories import OpenTree, list_directory, remove_tree
from volfs.vfs.scratch import sync_directory
from volfs.volume.sessions import (
    CATALOG,
    DEVICE,
    FACTS,
    LOCK,
    REMOVED,
    SCRATCH,
    SessionFacts,
    encode_device,
    encode_facts,
    get_session,
    load_session,
    session_name,
    sessions_directory,
)

log = logging.getLogger(__name__)


class SessionBusyError(MountError):
    """A living daemon has the session."""


class Session:
    """A session directory that this process holds the lock of.

    All in it is reached from a descriptor: should the store's directory be replaced, the
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
        """Whether a daemon came as far as to have an overlay here."""
        return (self._inside / FACTS).exists()

    def find_place(self) -> Path | None:
        """Where the directory is by now; None if it was deleted."""
        return find_place(self._directory)

    def note_place(self) -> None:
        """Remember outside of the store which directory this is. Raises nothing."""
        place = self.find_place()
        if place is not None:
            write_note(self.path, place)

    def forget_place(self) -> None:
        """It ends, and what was noted of it; or of one that it was copied from."""
        note = read_note(self.path)
        if note is not None and (not self.is_new or is_noted(self._inside / ".", note)):
            forget_note(self.path)

    def write_facts(self, facts: SessionFacts) -> None:
        """Replace ``session.json`` whole; durable, as is the directory, when it returns."""
        temporary = self._inside / f"{FACTS}.new"
        with temporary.open("wb") as file:
            file.write(encode_facts(facts))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._inside / FACTS)
        sync_directory(self._inside)
        sync_directory(self._inside / "..")

    def write_device(self, device: tuple[int, int], store: Store) -> None:
        """Say which mount is served. It means nothing once this process has ended."""
        temporary = self._inside / f"{DEVICE}.new"
        temporary.write_text(encode_device(device, self.path, Path(store.url)))
        temporary.rename(self._inside / DEVICE)

    def forget_device(self) -> None:
        """The mount is gone: its number is another's next."""
        if self._directory >= 0:
            _forget_device(self._inside)

    def close(self) -> None:
        """Let go of the directory; it stays, with the overlay in it."""
        if not self._lock.closed:  # else it may be another process's by now
            _forget_device(self._inside)
            self._lock.close()
        descriptor, self._directory = self._directory, -1
        if descriptor >= 0:
            os.close(descriptor)

    def remove(self) -> None:
        """Delete the directory: everything in it has been committed or discarded.

        At once, by a new name that nobody takes for a session; what a crash
        leaves of that is deleted by the next session to end.
        """
        place, around = self.find_place(), self._inside / ".."
        if place is not None:
            removed = f"{place.name}.{secrets.token_hex(4)}{REMOVED}"
            (around / place.name).rename(around / removed)
        reached("end.renamed")
        _sweep(around)
        self._lock.close()


def _sweep(directory: Path) -> None:
    """Delete what was removed; best effort. By descriptor: others may put links there."""
    with suppress(OSError), OpenTree(os.fsencode(directory)) as tree, tree.top.opened() as fd:
        for name, status in list_directory(fd):
            if name.endswith(os.fsencode(REMOVED)) and stat.S_ISDIR(status.st_mode):
                with suppress(OSError):
                    remove_tree(name, fd)


def open_session(store: Store, volume: VolumeRecord, options: MountOptions) -> Session:
    """The session of a mount: new, left behind there, or brought from elsewhere (``adopt``).

    SessionBusyError; NotFoundError, AlreadyExistsError where there is nothing to
    adopt, or another overlay at that place.
    """
    path = find_session_place(store, volume, options)
    if options.adopt is not None:
        return _adopt(store, options.adopt, path)
    while True:
        is_new = not path.exists()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _find_lock(path)
        if lock is not None:
            return _take(path, lock, is_new=is_new)


def take_session(store: Store, name: str) -> Session:
    """What a dead daemon left, by name. NotFoundError; MountError if it lives."""
    path = get_session(store, name).path
    lock = _find_lock(path)
    if lock is None:
        raise NotFoundError(f"{name}: it was removed just now")
    return _take(path, lock)


def end_session(store: Store, session: Session) -> None:
    """Remove the session's directory, and then the lease."""
    reached("end.committed")
    session.forget_place()
    session.remove()
    reached("end.removed")
    try:
        store.drop_lease(session_name(store, session.path))
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


# --- where ------------------------------------------------------------------


def find_session_place(store: Store, volume: VolumeRecord, options: MountOptions) -> Path:
    """The directory for this volume at this mount point, as this mount namespace has it."""
    places = _iter_places(store, volume, options)
    return next(path for path in places if not _is_of_other_mounts(path))


def _iter_places(store: Store, volume: VolumeRecord, options: MountOptions) -> Iterator[Path]:
    """Those that are there, perhaps of the volume's former name, and then new ones.

    An overlay lies on one part of the volume and on nothing else: that is in the name, too.
    """
    shows = _spell(join_path(parse_path(options.sub_path or "")))
    shows += " read-only" if options.is_read_only else ""
    facts = f"{volume.id}\0{options.mountpoint}\0{shows}"
    place = hashlib.sha256(facts.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    directory = options.sessions or sessions_directory(store)
    there = sorted(directory.glob(f"*-{place}")) + sorted(directory.glob(f"*-{place}.[0-9]*"))
    yield from (path for path in there if path.suffix != REMOVED)
    yield directory / f"{volume.name}-{place}"
    yield from (directory / f"{volume.name}-{place}.{number}" for number in count(2))


def _spell(path: bytes) -> str:
    """As the first volfs showed paths: directories of sessions are named after that."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _is_of_other_mounts(path: Path) -> bool:
    """Whether the daemon that has it lives in another mount namespace than this process."""
    session = load_session(path)
    try:
        theirs, ours = (Path(f"/proc/{pid}/ns/mnt").stat() for pid in (session.pid, "self"))
    except OSError:
        return False
    return session.alive and not os.path.samestat(theirs, ours)


def _find_lock(path: Path) -> IO[bytes] | None:
    """The lock of a session's directory; None if that is removed. SessionBusyError."""
    try:
        lock = (path / LOCK).open("ab", buffering=0)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock.fileno()), (path / LOCK).stat()):
            _forget_device(path)  # a dead daemon's: the number may be another mount's by now
            return lock
    except BlockingIOError:
        lock.close()
        pid = load_session(path).pid
        raise SessionBusyError(
            f"{path.name}: process {pid} has it, a mount that is living or in its last commit"
        ) from None
    except FileNotFoundError:
        return None
    lock.close()
    return None


def _take(path: Path, lock: IO[bytes], *, is_new: bool = False) -> Session:
    """The session at a path that has this lock. StoreUnavailableError if that is no more so."""
    session = Session(path, lock, is_new=is_new)
    try:
        if os.path.samestat(os.fstat(lock.fileno()), (session.catalog.parent / LOCK).stat()):
            return session
    except OSError:
        pass
    session.close()
    raise StoreUnavailableError(f"{path}: it was replaced just now; try again")


def _forget_device(path: Path) -> None:
    with contextlib.suppress(OSError):
        (path / DEVICE).unlink(missing_ok=True)


def _adopt(store: Store, name: str, path: Path) -> Session:
    """Bring an overlay to another place, by one rename over a new empty directory.

    That is there first for the lease to be of a session that exists: what the
    overlay lies on is leased all the time.
    """
    session = take_session(store, name)
    if session.path == path:
        return session
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _copy_lease(store, name, session_name(store, path))
        session.path.rename(path)
    except OSError as error:
        session.close()
        raise AlreadyExistsError(
            f"{name}: cannot become {path}: {error.strerror}; an overlay that was left for "
            "that place can be committed or discarded"
        ) from error
    session.path = path
    store.drop_lease(name)
    return session


def _copy_lease(store: Store, name: str, new: str) -> None:
    lease = store.find_lease(name)
    if lease is not None:
        store.put_lease(msgspec.structs.replace(lease, session=new))
