"""Opening a session: locking its directory, which is new or was left behind by a dead daemon.

The directory is named after the volume and the mount point. The next mount of that volume at that
place therefore finds what a dead daemon left, and takes it over. Several mount namespaces may each
have a mount there. From the second one on, the directory's name has a number, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO

import msgspec

from volfs.control.mounts import make_runtime_directory
from volfs.daemon.mount_options import MountOptions
from volfs.daemon.sessions.opened import OpenSession, SessionBusyError, forget_device, own
from volfs.errors import AlreadyExistsError, NotFoundError, StoreDeniedError
from volfs.model.names import join_path, parse_path
from volfs.sessions.facts import LOCK, REMOVED, SESSIONS
from volfs.sessions.host import is_of_other_mounts
from volfs.sessions.info import get_session, load_session
from volfs.sessions.places import session_name, sessions_directory
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.system.locks import leads_to, try_lock


def open_session(store: Store, volume: VolumeRecord, options: MountOptions) -> OpenSession:
    """Open the session of a mount: a new one, one that was left there, or one from elsewhere
    (``adopt``).

    SessionBusyError; NotFoundError if there is nothing to adopt; AlreadyExistsError if another
    overlay is at that place.
    """
    path = find_session_place(store, volume, options)
    if options.adopt is not None:
        return _adopt(store, options.adopt, path)
    while True:
        is_new = not path.exists()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _find_lock(path)
        if lock is not None:
            return own(path, lock, is_new=is_new)


def take_session(store: Store, name: str) -> OpenSession:
    """Open the session that a dead daemon left, by name. NotFoundError; MountError if the daemon
    lives."""
    path = get_session(store, name).path
    lock = _find_lock(path)
    if lock is None:
        raise NotFoundError(f"{name}: it was removed just now")
    return own(path, lock)


def _find_lock(path: Path) -> IO[bytes] | None:
    """Lock a session's directory; None if it was removed. SessionBusyError."""
    try:
        lock = (path / LOCK).open("ab", buffering=0)
    except FileNotFoundError:
        return None
    if not try_lock(lock.fileno()):
        lock.close()
        pid = load_session(path).pid
        raise SessionBusyError(
            f"{path.name}: process {pid} has it, a mount that is living or in its last commit"
        )
    if leads_to(path / LOCK, lock.fileno(), follow=True):
        forget_device(path)  # The number that a dead daemon noted may be another mount's by now.
        return lock
    lock.close()
    return None


def _adopt(store: Store, name: str, path: Path) -> OpenSession:
    """Bring an overlay to another place, by one rename over a new empty directory.

    The directory is made first, so that the new lease is of a session that exists. What the
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
    store.leases.drop(name)
    return session


def _copy_lease(store: Store, name: str, new: str) -> None:
    lease = store.leases.find(name)
    if lease is not None:
        store.leases.put(msgspec.structs.replace(lease, session=new))


# --- places -----------------------------------------------------------------


def find_session_place(store: Store, volume: VolumeRecord, options: MountOptions) -> Path:
    """The directory for this volume at this mount point, in this mount namespace."""
    places = _iter_places(store, volume, options)
    return next(path for path in places if not is_of_other_mounts(path))


def _iter_places(store: Store, volume: VolumeRecord, options: MountOptions) -> Iterator[Path]:
    """Yield the possible directories: existing ones, perhaps under the volume's former name, then
    new ones.

    An overlay lies on one part of the volume and on nothing else, so that part is in the name,
    too.
    """
    shows = _spell(join_path(parse_path(options.sub_path or "")))
    shows += " read-only" if options.is_read_only else ""
    facts = f"{volume.id}\0{options.mountpoint}\0{shows}"
    place = hashlib.sha256(facts.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    directory = _choose_directory(store, options)
    there = sorted(directory.glob(f"*-{place}")) + sorted(directory.glob(f"*-{place}.[0-9]*"))
    yield from (path for path in there if path.suffix != REMOVED)
    yield directory / f"{volume.name}-{place}"
    yield from (directory / f"{volume.name}-{place}.{number}" for number in count(2))


def _choose_directory(store: Store, options: MountOptions) -> Path:
    """The directory of sessions, which for a directory's store that cannot be written is in the
    runtime directory.

    StoreDeniedError for a store that cannot be written, if the mount is writable.
    """
    if store.is_writable:
        return sessions_directory(store)
    if not options.is_read_only:
        try:
            store.check_writable()
        except StoreDeniedError as error:
            raise StoreDeniedError(f"{error}; or mount with --read-only") from error
    if store.leases.host:  # The store is not on this machine, and the sessions are.
        return sessions_directory(store)
    return make_runtime_directory() / SESSIONS


def _spell(path: bytes) -> str:
    """A path as the first volfs showed it, because directories of sessions are named after
    that."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
