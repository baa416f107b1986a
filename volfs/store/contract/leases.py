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
"""An object that somebody relies on, and with it everything below it."""


class LeaseKind(Enum):
    """When a lease ends."""

    KEPT = "kept"
    """With its session's directory: an overlay lies on what the lease keeps."""
    RENEWED = "renewed"
    """With its session's life: a read-only mount leaves nothing behind."""


class Lease(msgspec.Struct, frozen=True):
    """What a session relies on. gc keeps the needs, whatever versions there are.

    A mount's view may be a tree that no version has (docs/decisions/0009), and
    its overlay may lie on content of views that it left: both are needs.
    """

    session: str
    """``sessions/places.py`` says how sessions are called; one has one lease."""
    volume_id: str
    versions: tuple[int, ...] = ()
    """Those that the session shows or stands on: they count as mounted."""
    needs: tuple[Need, ...] = ()
    began_ns: int = 0
    """When this life of the session began: no two lives have equal leases."""
    over: bytes = b""
    """The stamp of the catalog when what was published last was sealed: while the catalog
    still has it, all that it has recorded is published."""
    onward: bool = False
    """Whether all from the oldest of ``versions`` on stay: the session follows the head."""
    host: str = ""
    """Where the session is: ``Leases.host`` there."""
    place: str = ""
    """The session's mount point, for people; empty where nobody said it."""
    kind: LeaseKind = LeaseKind.KEPT

    def may_be_judged_at(self, host: str) -> bool:
        """Whether it can be seen there if the session lives: no other host may drop the lease."""
        return self.host == host

    def has(self, version: int) -> bool:
        """Whether a version stays for this lease's sake."""
        if self.onward and self.versions:
            return version >= min(self.versions)
        return version in self.versions


class Leases(Protocol):
    """gc and expiry leave alone what is leased or held."""

    @property
    def host(self) -> str:
        """Which sessions can be looked at from here: those whose leases say the same host.

        Empty for an engine whose store lies in one directory: whoever sees the store sees
        its sessions, on whichever machine they are.
        """

    @property
    def pause(self) -> float:
        """Seconds that a mount lets pass between two leases that only give something up."""

    def put(self, lease: Lease) -> None:
        """Make a session's lease, or replace the one it had; durable on return.

        NotFoundError if one of its ``versions`` is not there. What a lease needs
        must be reachable when it is put: from one of its versions, from the
        lease that it replaces, or from what ``publish`` publishes with it.
        """

    def find(self, session: str) -> Lease | None: ...

    def list_all(self) -> list[Lease]:
        """Those of all volumes, by session; also of volumes that were deleted."""

    def drop(self, session: str, expected: Lease | None = None) -> None:
        """The session needs nothing any more. Nothing happens if it had no lease.

        With ``expected``, only if it still has that one.
        """

    def list_damaged(self) -> list[str | None]:
        """The sessions whose leases cannot be read; None for each that does not tell its session.

        ``find`` raises DamagedObjectError for such a session, told or not. While there is a
        damaged lease, so do ``list_all``, gc and expiry. To put the lease anew, or to drop
        it, is to mend it.
        """

    # --- holds -----------------------------------------------------------

    def hold(self, volume_id: str, head: Head) -> AbstractContextManager[None]:
        """Keep a version while a ``with`` block lasts: gc and expiry treat it as leased.

        A hold ends with the process at the latest, and may outlast this handle. Look after
        taking it whether the version is there: only then it stays.
        """

    def list_held(self, volume_id: str) -> list[int]:
        """The versions of a volume that anybody is known to hold, ascending."""
