"""Leases: what sessions rely on. Holds: what running operations read."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from volfs.model.objects import Oid
from volfs.model.references import Reference

Need = Reference
"""An object that somebody relies on, and with it everything below it."""


class Lease(msgspec.Struct, frozen=True):
    """What a session relies on. gc keeps the needs, whatever versions there are.

    A mount's view may be a tree that no version has (docs/decisions/0009), and
    its overlay may lie on content of views that it left: both are needs.
    """

    session: str
    """``volume/sessions.py`` says how sessions are called; one has one lease."""
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

    def has(self, version: int) -> bool:
        """Whether a version stays for this lease's sake."""
        if self.onward and self.versions:
            return version >= min(self.versions)
        return version in self.versions


class Leases(Protocol):
    """gc and expiry leave alone what is leased or held."""

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

    def list_damaged(self, sessions: Iterable[str]) -> list[str | None]:
        """Whose leases cannot be read: sessions of these, or that are told by the lease.

        None for each of which it cannot be told. While there is one, ``list_all``
        raises DamagedObjectError, and so do gc and expiry. To put such a lease anew, or
        to drop it, is to mend it.
        """

    # --- holds -----------------------------------------------------------

    def hold(self, manifest: Oid) -> AbstractContextManager[None]:
        """Keep a version while a ``with`` block lasts: gc and expiry treat it as leased.

        It writes nothing, ends with the process at the latest, and may outlast this
        handle. Whether the version is there has to be looked at after it was taken.
        """

    def is_held(self, manifest: Oid) -> bool:
        """Whether anybody holds the version of this manifest."""
