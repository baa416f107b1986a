"""The sessions of a store, which any process may read: one directory for each mount's life.

``<store>/mounts/<session>/`` holds ``session.json`` and ``lock``. The living daemon holds an
exclusive flock on ``lock``, which the kernel releases whatever the daemon dies of. ``device`` has
the kernel's number of the mount that it serves. ``daemon/sessions`` writes these files; this room
only reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from volfs.errors import NotFoundError
from volfs.sessions.device import find_device
from volfs.sessions.facts import FACTS, LOCK, REMOVED, SessionFacts, decode_facts
from volfs.sessions.places import find_session_path, session_name, sessions_directory
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.system.locks import is_locked


class SessionInfo(NamedTuple):
    """One mount's life. A dead session is an overlay that was left behind."""

    name: str
    """The name in the session's lease. For whoever lists a directory without its store, the name
    of the directory."""
    path: Path
    volume_id: str
    volume: str
    mountpoint: str
    pid: int
    base_version: int
    created_ns: int
    read_only: bool
    sub_path: str
    alive: bool
    device: tuple[int, int] | None = None
    """The device of the mount, major and minor; None before it is mounted, and for older
    daemons."""


def list_sessions(directory: Path) -> list[SessionInfo]:
    """The sessions below a directory, oldest first; empty if the directory does not exist."""
    try:
        places = [p for p in directory.iterdir() if p.suffix != REMOVED and p.is_dir()]
    except FileNotFoundError:
        return []
    return sorted(map(load_session, places), key=lambda session: (session.created_ns, session.name))


def list_inner_sessions(store: Store) -> list[SessionInfo]:
    """The sessions in the store's own directory, under their names in leases."""
    sessions = list_sessions(sessions_directory(store))
    return [s._replace(name=session_name(store, s.path)) for s in sessions]


def list_store_sessions(store: Store) -> list[SessionInfo]:
    """The sessions of a store, those outside its directory that have a lease included, under their
    names in the lease.

    Outside are sessions of programs that an earlier volfs let choose the place.
    """
    found = list_inner_sessions(store)
    for lease in store.leases.list_all():
        if not lease.may_be_judged_at(store.leases.host):
            continue
        path = find_session_path(store, lease.session)
        if path.parent != sessions_directory(store) and path.is_dir():
            device = find_device(path, store.local)
            found.append(load_session(path)._replace(name=lease.session, device=device))
    return found


def list_volume_sessions(store: Store, record: VolumeRecord) -> list[SessionInfo]:
    """The sessions of a volume, those of dead mounts included."""
    return [s for s in list_store_sessions(store) if s.volume_id == record.id]


def get_session(store: Store, name: str) -> SessionInfo:
    """The session of this name, from which the machine may be left out.

    NotFoundError, also for a directory that is no session's.
    """
    names = (name, session_name(store, find_session_path(store, name)))
    # Sessions outside are found through leases, one of which may be damaged.
    for find in (list_inner_sessions, list_store_sessions):
        for session in find(store):
            if session.name in names:
                return session
    raise NotFoundError(f"no overlay {name}; `volfs overlays` lists them")


def load_session(path: Path) -> SessionInfo:
    """The facts of a session, as far as its directory has them."""
    try:
        facts = decode_facts((path / FACTS).read_bytes())
    except (OSError, ValueError):
        facts = SessionFacts()
    return SessionInfo(
        path.name,
        path,
        facts.volume_id,
        facts.volume,
        facts.mountpoint,
        facts.pid,
        facts.base_version,
        facts.created_ns,
        facts.read_only,
        facts.sub_path,
        is_locked(path / LOCK),
        find_device(path),
    )
