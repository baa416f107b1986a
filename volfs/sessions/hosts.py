"""Sessions of all hosts, as their leases tell them, and the end of one that never comes back."""

from __future__ import annotations

from typing import NamedTuple

from volfs.errors import ConflictError, MountError, NotFoundError
from volfs.model.names import MAIN
from volfs.store.clock import now_ns
from volfs.store.contract.lease import Lease, SeenLease
from volfs.store.contract.store import Store
from volfs.store.identity import find_host_name

READING = "reading"
"""The kind of an operation that reads a version, and that no mount belongs to."""


class HostSession(NamedTuple):
    """One session of any host."""

    lease: Lease
    is_here: bool
    """Whether the session is of this host."""
    host: str
    """The name of its host, for people."""
    volume: str
    environment: str
    age: float | None
    """Seconds since the lease was put or renewed last. None if nothing tells."""

    @property
    def kind(self) -> str:
        return READING if self.lease.is_hold else self.lease.kind.value

    @property
    def version(self) -> int | None:
        """The newest version that the session shows, or stands on."""
        return max(self.lease.versions, default=None)


def list_host_sessions(store: Store) -> list[HostSession]:
    """The sessions of all hosts that have a lease, by host and mount point."""
    found = [_describe(store, seen) for seen in store.leases.list_seen()]
    return sorted(found, key=lambda one: (one.host, one.lease.place, one.lease.session))


def get_host_session(store: Store, session: str) -> HostSession:
    """A session of another host that has a lease. NotFoundError; MountError if it is of this
    host."""
    for found in list_host_sessions(store):
        if found.lease.session != session:
            continue
        if found.is_here:
            raise MountError(
                f"{session}: of this host: `volfs umount` ends a mount, and `volfs overlays "
                f"discard {session}` drops what one left"
            )
        return found
    raise NotFoundError(f"no session {session}; `volfs overlays --all-hosts` lists them")


def forget_session(store: Store, found: HostSession) -> None:
    """End the lease of another host's session. ConflictError if the session has just changed it."""
    session = found.lease.session
    if not store.leases.revoke(session, found.lease):
        raise ConflictError(
            f"{session}: it has just said something, so its host lives; nothing was done"
        )


def _describe(store: Store, seen: SeenLease) -> HostSession:
    lease = seen.lease
    record = store.refs.find_volume_by_id(lease.volume_id)
    age = None if seen.renewed_ns is None else max(0.0, (now_ns() - seen.renewed_ns) / 1e9)
    return HostSession(
        lease,
        lease.may_be_judged_at(store.leases.host),
        lease.host_name or lease.host or find_host_name(),
        record.name if record else lease.volume_id,
        record.environment if record else MAIN,
        age,
    )
