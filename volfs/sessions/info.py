"""The sessions of a store, as anybody may see them: one directory for each mount's life.

``<store>/mounts/<session>/`` holds ``session.json`` and ``lock``, on which the
living daemon holds an exclusive flock; the kernel lets go of it whatever the
daemon dies of. ``device`` says which mount it serves, by the number that the kernel
has given it. Written by ``daemon/sessions``, only read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from volfs.errors import NotFoundError
from volfs.sessions.device import find_device
from volfs.sessions.facts import FACTS, LOCK, REMOVED, SessionFacts, decode_facts
from volfs.sessions.places import find_session_path, sessions_directory
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.system.locks import is_locked


class SessionInfo(NamedTuple):
    """One mount's life. A dead one is an overlay that was left behind."""

    name: str
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
    """The mount's, major and minor; None before it is mounted, and of older daemons."""


def list_sessions(directory: Path) -> list[SessionInfo]:
    """The sessions below a directory, oldest first; none where it is not there."""
    try:
        places = [p for p in directory.iterdir() if p.suffix != REMOVED and p.is_dir()]
    except FileNotFoundError:
        return []
    return sorted(map(load_session, places), key=lambda session: (session.created_ns, session.name))


def list_inner_sessions(store: Store) -> list[SessionInfo]:
    """Those in the store's own directory."""
    return list_sessions(sessions_directory(store))


def list_store_sessions(store: Store) -> list[SessionInfo]:
    """The sessions of a store, with those elsewhere that have a lease; named as in the lease.

    Elsewhere are those of programs that an earlier volfs let choose the place.
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
    """The mounts of a volume, dead ones with what they left included."""
    return [s for s in list_store_sessions(store) if s.volume_id == record.id]


def get_session(store: Store, name: str) -> SessionInfo:
    """NotFoundError, also for a directory that is no session's."""
    # Of those elsewhere leases tell, one of which may be damaged.
    for find in (list_inner_sessions, list_store_sessions):
        for session in find(store):
            if session.name == name:
                return session
    raise NotFoundError(f"no overlay {name}; `volfs overlays` lists them")


def load_session(path: Path) -> SessionInfo:
    """A session's facts, as far as its directory says them."""
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
