"""Leases: what sessions rely on. Holds: what running operations read."""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import msgspec

from volfs.model.references import Reference

if TYPE_CHECKING:
    from volfs.store.contract.refs import Head

Need = Reference
"""An object that somebody relies on, together with everything below it."""


class LeaseKind(Enum):
    """What ends a lease."""

    KEPT = "kept"
    """The lease ends with its session's directory, because an overlay stands on what it keeps."""
    RENEWED = "renewed"
    """The lease ends with its session's life, because a read-only mount leaves nothing behind."""


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

    def may_be_judged_at(self, host: str) -> bool:
        """Whether a process at this host can see if the session lives. No other host may drop the
        lease."""
        return self.host == host

    def has(self, version: int) -> bool:
        """Whether this lease keeps a version."""
        if self.onward and self.versions:
            return version >= min(self.versions)
        return version in self.versions


class Leases(Protocol):
    """The leases and holds of a store. gc and expiry leave alone what is leased or held."""

    @property
    def host(self) -> str:
        """The name of this host. Only sessions whose leases name the same host can be examined
        here.

        It is empty for an engine whose store lies in one directory: a process that sees the store
        sees the store's sessions, on whichever machine they are.
        """

    @property
    def pause(self) -> float:
        """Seconds that a mount waits between two leases that only give something up."""

    def put(self, lease: Lease) -> None:
        """Make a session's lease, or replace the former one. The lease is durable on return.

        NotFoundError if one of its ``versions`` is not there. What a lease needs must be reachable
        when it is put: from one of its versions, from the lease that it replaces, or from what
        ``publish`` publishes with it.
        """

    def find(self, session: str) -> Lease | None: ...

    def list_all(self) -> list[Lease]:
        """The leases of all volumes, by session. Leases of deleted volumes are among them."""

    def drop(self, session: str, expected: Lease | None = None) -> None:
        """Remove the lease of a session that needs nothing any more. Nothing happens if it has
        none.

        With ``expected``, only a lease that is equal to ``expected`` is removed.
        """

    def list_damaged(self) -> list[str | None]:
        """The sessions whose leases cannot be read, with None for each lease that does not tell
        its session.

        ``find`` raises DamagedObjectError for such a session, whether or not its lease tells it.
        While there is a damaged lease, ``list_all``, gc and expiry raise it, too. To put the lease
        anew, or to drop it, mends it.
        """

    # --- holds -----------------------------------------------------------

    def hold(self, volume_id: str, head: Head) -> AbstractContextManager[None]:
        """Keep a version while a ``with`` block lasts: gc and expiry treat it as leased.

        A hold ends with the process at the latest, and may outlast this handle. After taking the
        hold, check that the version is there: only then it stays.
        """

    def list_held(self, volume_id: str) -> list[int]:
        """The versions of a volume that are known to be held by anybody, ascending."""
