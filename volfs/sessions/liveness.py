"""Leases of sessions that live, and of sessions that are gone."""

from __future__ import annotations

import msgspec

from volfs.errors import DamagedObjectError
from volfs.sessions.facts import LOCK
from volfs.sessions.info import list_inner_sessions, load_session
from volfs.sessions.places import find_session_path
from volfs.store.contract.lease import Lease, LeaseKind
from volfs.store.contract.leases import Leases
from volfs.store.contract.store import Store
from volfs.system.locks import holding, is_locked


def drop_stale_leases(store: Store) -> list[Lease]:
    """Drop the leases of sessions that are gone. Returns the other leases. Called before gc and
    expiry."""
    for lease in list_stale_leases(store):
        store.leases.drop(lease.session, lease)
    return [_end_following(store, lease) for lease in list_fresh_leases(store)]


def drop_stale_leases_of(store: Store, volume_id: str) -> None:
    """Drop the leases of gone sessions on a volume. Called before the volume is deleted."""
    for lease in list_stale_leases(store):
        if lease.volume_id == volume_id:
            store.leases.drop(lease.session, lease)


def _end_following(store: Store, lease: Lease) -> Lease:
    """Let the lease of a dead session follow no more: it keeps the versions that exist by now, and
    none later."""
    path = find_session_path(store, lease.session)
    is_ours = lease.may_be_judged_at(store.leases.host)
    if not (lease.onward and is_ours) or is_locked(path / LOCK):
        return lease
    heads = store.refs.iter_versions(lease.volume_id)
    versions = tuple(head.version for head in heads if lease.has(head.version))
    ended = msgspec.structs.replace(lease, versions=versions, onward=False)
    with holding(path / LOCK) as held:
        # A daemon may be taking the session over, or have done so just now.
        if not held or store.leases.find(lease.session) != lease:
            return lease
        store.leases.put(ended)
    return ended


def list_damaged_leases(store: Store) -> list[str | None]:
    """The sessions whose leases cannot be read; None for each lease whose session nothing
    tells."""
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
    """The leases of sessions that are gone."""
    return [lease for lease in store.leases.list_all() if is_stale(store, lease)]


def list_fresh_leases(store: Store) -> list[Lease]:
    """The leases of sessions that live, or have left something behind."""
    return [lease for lease in store.leases.list_all() if not is_stale(store, lease)]


def is_stale(store: Store, lease: Lease) -> bool:
    """Whether nobody needs a lease: its session was removed, or is dead and was read-only, or it is
    that of a hold that has ended.

    A session that only another host can judge counts as alive.
    """
    if not lease.may_be_judged_at(store.leases.host):
        return False
    is_held = store.leases.judge_hold(lease)
    if is_held is not None:
        return not is_held
    path = find_session_path(store, lease.session)
    if not path.is_dir():
        # If the directory around it cannot be seen either, nothing is known.
        return path.parent.is_dir()
    session = load_session(path)
    ends = session.read_only or lease.kind is LeaseKind.RENEWED
    return ends and not session.alive
