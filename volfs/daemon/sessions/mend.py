"""Mending leases that cannot be read, so that gc and expiry may go on.

As long as there is such a lease, gc and expiry refuse to work, so everything that it named is
still there. Its session decides what to do. A living mount is asked to put its own lease again,
because it alone knows its needs. An overlay's needs are in its catalog. A session that is gone
needs nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from volfs.daemon.named_mounts import get_session_mount
from volfs.daemon.sessions.inspect import describe_session
from volfs.errors import VolfsError
from volfs.model.text import describe_error
from volfs.sessions.facts import CATALOG, LOCK
from volfs.sessions.info import SessionInfo, list_inner_sessions, load_session
from volfs.sessions.liveness import list_damaged_leases
from volfs.sessions.places import find_session_path
from volfs.store.contract.lease import Lease
from volfs.store.contract.store import Store
from volfs.system.locks import holding, is_locked
from volfs.vfs.bases import find_present, is_there, recorded_needs
from volfs.vfs.catalog import read_catalog
from volfs.vfs.records import Recorded, StoredBase
from volfs.volume.leases import new_lease

DROPPED = "dropped"


class MendedLease(NamedTuple):
    """The fate of one damaged lease. ``session`` is empty if nothing tells whose lease it is."""

    session: str
    outcome: str
    """The result: ``dropped``, ``made again``, or ``left``."""
    reason: str


def mend_leases(store: Store) -> list[MendedLease]:
    """Mend all damaged leases that can be mended. StoreError."""
    return [_mend_one(store, session) for session in list_damaged_leases(store)]


def make_missing_leases(store: Store) -> list[MendedLease]:
    """Make the leases of overlays in the store's directory, after the index was lost and before
    gc."""
    missing = [s.name for s in list_inner_sessions(store) if store.leases.find(s.name) is None]
    mended = [_mend_one(store, name) for name in missing]
    return [item for item in mended if item.outcome != DROPPED]


def _mend_one(store: Store, name: str | None) -> MendedLease:
    """Mend one lease. An error is its result, so that the others are still mended."""
    try:
        return _mend(store, name)
    except (VolfsError, OSError, ValueError) as error:
        return MendedLease(name or "", "left", describe_error(error))


def _mend(store: Store, name: str | None) -> MendedLease:
    if name is None:
        return MendedLease("", "left", "whose it is cannot be told; `volfs rebuild-index` drops it")
    path = find_session_path(store, name)
    if not path.parent.is_dir():
        return MendedLease(name, "left", "the directory of its session cannot be seen")
    if not path.is_dir():
        return _drop(store, name, "its session is gone")
    with holding(path / LOCK) as held:
        session = load_session(path)
        if not held and is_locked(path / LOCK):
            return _ask_mount(name, session)
        return _mend_dead(store, name, session)


def _drop(store: Store, name: str, reason: str) -> MendedLease:
    store.leases.drop(name)
    return MendedLease(name, DROPPED, reason)


def _ask_mount(name: str, session: SessionInfo) -> MendedLease:
    try:
        mount = get_session_mount(session)
        mount.check()
        mount.client.renew()
        return MendedLease(name, "made again", "by its mount")
    except VolfsError as error:
        problem = str(error)
    return MendedLease(name, "left", f"{problem}; it is mended when its mount ends")


def _mend_dead(store: Store, name: str, session: SessionInfo) -> MendedLease:
    if session.read_only or not (session.path / CATALOG).exists():
        return _drop(store, name, "its mount died and left nothing")
    found = describe_session(store, session)
    if found.left.problem:
        hint = f"`volfs overlays discard {name}` is a way out"
        return MendedLease(name, "left", f"its overlay is damaged ({found.left.problem}); {hint}")
    recorded = read_catalog(session.path / CATALOG)
    if recorded.base is None or not recorded.inodes:
        return _drop(store, name, "its mount died and left nothing")
    store.leases.put(_make_lease(store, name, session, recorded.base, recorded))
    if found.lost:
        return MendedLease(name, "made again", f"as far as it goes: {found.lost}")
    return MendedLease(name, "made again", "from what its mount left")


def _make_lease(
    store: Store, name: str, session: SessionInfo, base: StoredBase, recorded: Recorded
) -> Lease:
    """The lease of an overlay: what it stands on, and what its files lie on, which may be of
    earlier views."""
    needs = recorded_needs(recorded)
    there = store.refs.find_version(session.volume_id, base.version) == base.manifest
    objects = store.objects_of(session.volume_id)
    # gc refuses to work if something needed is missing.
    if not (there or is_there(objects, needs)):
        needs = tuple(sorted(find_present(objects, needs)))
    versions = (base.version,) if there else ()
    blank = new_lease(store.leases, name, session.volume_id, place=session.mountpoint)
    return msgspec.structs.replace(blank, versions=versions, needs=needs)
