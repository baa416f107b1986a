"""What a lease says. ``leases.py`` beside says what a store does with it."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import msgspec

from volfs.model.references import Reference

Need = Reference
"""An object that somebody relies on, together with everything below it."""


class LeaseKind(Enum):
    """What ends a lease."""

    KEPT = "kept"
    """The lease ends with its session's directory, because an overlay stands on what it keeps."""
    RENEWED = "renewed"
    """The lease ends with its session's life, because a read-only mount leaves nothing behind. Its
    session renews it now and then."""


class Lease(msgspec.Struct, frozen=True):
    """What a session relies on. gc keeps the needs, whatever versions there are.

    A mount's view may be a tree that no version has (docs/decisions/0009), and its overlay may
    stand on content of views that the mount has left. Both are needs.
    """

    session: str
    """The name of the session, as ``sessions/places.py`` makes it. Each session has one lease."""
    volume_id: str
    versions: tuple[int, ...] = ()
    """The versions that the session shows or stands on. They count as mounted."""
    needs: tuple[Need, ...] = ()
    began_ns: int = 0
    """When this life of the session began. No two lives have equal leases."""
    over: bytes = b""
    """The stamp that the catalog had when the last published changes were sealed. While the
    catalog still has this stamp, everything that it has recorded is published."""
    onward: bool = False
    """Whether every version from the oldest of ``versions`` on stays, because the session follows
    the head."""
    host: str = ""
    """The host of the session: the value of ``Leases.host`` there."""
    place: str = ""
    """The session's mount point, for people. Empty if it is not known."""
    kind: LeaseKind = LeaseKind.KEPT
    host_name: str = ""
    """The name that the system of the host has, for people."""

    @property
    def is_hold(self) -> bool:
        """Whether this is the lease of an operation that reads, and of no mount."""
        return self.kind is LeaseKind.RENEWED and not self.place

    def may_be_judged_at(self, host: str) -> bool:
        """Whether a process at this host can see if the session lives. No other host may drop the
        lease."""
        return self.host == host

    def has(self, version: int) -> bool:
        """Whether this lease keeps a version."""
        if self.onward and self.versions:
            return version >= min(self.versions)
        return version in self.versions


class SeenLease(NamedTuple):
    """A lease, and when its session was heard of."""

    lease: Lease
    renewed_ns: int | None
    """When the lease was put or renewed last, by the store's clock. None if nothing tells."""
