"""Leases of sessions that live, and of those that are no more."""

from __future__ import annotations

import msgspec

from volfs.errors import DamagedObjectError
from volfs.sessions.facts import LOCK
from volfs.sessions.info import list_inner_sessions, load_session
from volfs.sessions.places import find_session_path
from volfs.store.contract.leases import Lease, LeaseKind, Leases
from volfs.store.contract.store import Store
from volfs.system.locks import holding, is_locked


def drop_stale_leases(store: Store) -> list[Lease]:
    """Drop the leases of sessions that are no more; the others. Before gc and expiry."""
    for lease in list_stale_leases(store):
        store.leases.drop(lease.session, lease)
    return [_end_following(store, lease) for lease in list_fresh_leases(store)]


def drop_stale_leases_of(store: Store, volume_id: str) -> None:
    """Drop the leases on a volume of sessions that are no more. Before it is deleted."""
    for lease in list_stale_leases(store):
        if lease.volume_id == volume_id:
            store.leases.drop(lease.session, lease)


def _end_following(store: Store, lease: Lease) -> Lease:
    """A session that is dead follows no more: what there is by now stays, and nothing later."""
    path = find_session_path(store, lease.session)
    is_ours = lease.may_be_judged_at(store.leases.host)
    if not (lease.onward and is_ours) or is_locked(path / LOCK):
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
    """The sessions whose leases cannot be read; None for each that nothing tells."""
    found = store.leases.list_damaged()
    told = [session for session in found if session is not None]
    untold = len(found) - len(told)
    names = [session.name for session in list_inner_sessions(store)] if untold else []
    ours = [name for name in names if name not in told and _is_damaged(store.leases, name)]
    return [*told, *ours, *[None] * (untold - len(ours))]


def _is_damaged(leases: Leases, session: str) -> bool:
    try:
        leases.find(session)
    except DamagedObjectError:
        return True
    return False


def list_stale_leases(store: Store) -> list[Lease]:
    """Those of sessions that are no more."""
    return [lease for lease in store.leases.list_all() if is_stale(store, lease)]


def list_fresh_leases(store: Store) -> list[Lease]:
    """Those of sessions that live, or have left something behind."""
    return [lease for lease in store.leases.list_all() if not is_stale(store, lease)]


def is_stale(store: Store, lease: Lease) -> bool:
    """Whether nobody needs it: its session was removed, or was read-only and is dead.

    What another host alone can see counts as alive.
    """
    if not lease.may_be_judged_at(store.leases.host):
        return False
    path = find_session_path(store, lease.session)
    if not path.is_dir():
        # Where the directory around it cannot be seen either, nothing is known.
        return path.parent.is_dir()
    session = load_session(path)
    ends = session.read_only or lease.kind is LeaseKind.RENEWED
    return ends and not session.alive
