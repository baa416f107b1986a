"""Leases of sessions that live, and of those that are no more."""

from __future__ import annotations

import msgspec

from volfs.sessions.facts import LOCK
from volfs.sessions.info import list_inner_sessions, load_session
from volfs.sessions.lock import holding, is_locked
from volfs.sessions.places import find_session_path
from volfs.store.contract.leases import Lease
from volfs.store.contract.store import Store


def drop_stale_leases(store: Store) -> list[Lease]:
    """Drop the leases of sessions that are no more; the others. Before gc and expiry."""
    for lease in list_stale_leases(store):
        store.leases.drop(lease.session, lease)
    return [_end_following(store, lease) for lease in list_fresh_leases(store)]


def _end_following(store: Store, lease: Lease) -> Lease:
    """A session that is dead follows no more: what there is by now stays, and nothing later."""
    path = find_session_path(store, lease.session)
    if not lease.onward or is_locked(path / LOCK):
        return lease
    heads = store.refs.iter_versions(lease.volume_id)
    versions = tuple(head.version for head in heads if lease.has(head.version))
    ended = msgspec.structs.replace(lease, versions=versions, onward=False)
    with holding(path / LOCK) as held:
        # Unless a daemon takes it over, or took it over just now.
        if not held or store.leases.find(lease.session) != lease:
            return lease
        store.leases.put(ended)
    return ended


def list_damaged_leases(store: Store) -> list[str | None]:
    """Whose leases cannot be read; None where nothing tells it."""
    return store.leases.list_damaged([session.name for session in list_inner_sessions(store)])


def list_stale_leases(store: Store) -> list[Lease]:
    """Those of sessions that are no more."""
    return [lease for lease in store.leases.list_all() if is_stale(store, lease)]


def list_fresh_leases(store: Store) -> list[Lease]:
    """Those of sessions that live, or have left something behind."""
    return [lease for lease in store.leases.list_all() if not is_stale(store, lease)]


def is_stale(store: Store, lease: Lease) -> bool:
    """Whether nobody needs it: its session was removed, or was read-only and is dead."""
    path = find_session_path(store, lease.session)
    if not path.is_dir():
        # Where the directory around it cannot be seen either, nothing is known.
        return path.parent.is_dir()
    session = load_session(path)
    return session.read_only and not session.alive
