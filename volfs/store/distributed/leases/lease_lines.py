"""A lease as a line of its log has it, and what later commits of its session add to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from volfs.model.logs.lease_log import LeaseMade
from volfs.model.logs.volume_log import Rider
from volfs.model.objects import Oid
from volfs.model.references import Reference
from volfs.model.text import from_stored, to_stored
from volfs.store.contract.lease import Lease, LeaseKind

RENEWED_SECONDS = 48 * 3600
"""The ttl of a lease that its session renews."""


def to_made(lease: Lease, manifests: Sequence[Oid], upto: int) -> LeaseMade:
    """The line of a lease. ``manifests`` are those of its versions. ``upto`` is the newest line of
    the volume's log whose changes are in the lease."""
    return LeaseMade(
        to_stored(lease.session),
        lease.volume_id,
        tuple(zip(lease.versions, map(bytes, manifests), strict=True)),
        tuple((need.kind, bytes(need.oid)) for need in lease.needs),
        max(upto, 0),
        lease.kind.value,
        RENEWED_SECONDS if lease.kind is LeaseKind.RENEWED else 0,
        lease.began_ns,
        lease.over,
        lease.onward,
        to_stored(lease.host),
        to_stored(lease.place),
        to_stored(lease.host_name),
    )


def to_lease(made: LeaseMade, riders: Iterable[Rider]) -> Lease:
    """The lease of a line, with what the session's commits have added since."""
    lease = Lease(
        from_stored(made.session),
        made.volume,
        tuple(version for version, _ in made.versions),
        tuple(Reference(kind, Oid(oid)) for kind, oid in made.needs),
        made.began_ns,
        made.over,
        made.onward,
        from_stored(made.host),
        from_stored(made.place),
        LeaseKind(made.kind),
        from_stored(made.host_name),
    )
    for rider in riders:
        if rider.line > made.upto:
            lease = ride(lease, rider.version, rider.over, rider.needs)
    return lease


def ride(lease: Lease, version: int, over: bytes, needs: Iterable[Reference]) -> Lease:
    """The lease after a commit of its session."""
    more = () if lease.has(version) else (version,)
    others = tuple(need for need in needs if need not in lease.needs)
    return msgspec.structs.replace(
        lease, versions=lease.versions + more, over=over, needs=lease.needs + others
    )


def covers(wide: Lease, lease: Lease) -> bool:
    """Whether a lease keeps all that another one of the same life keeps, and says the same
    otherwise."""
    has_all = all(map(wide.has, lease.versions)) and set(wide.needs) >= set(lease.needs)
    same = msgspec.structs.replace(wide, versions=lease.versions, needs=lease.needs)
    return has_all and same == lease
