"""The log of one session's lease. The newest line counts, and no other.

A lease is *in force* while the newest line is a lease. Layout: docs/format.md, "The log of a
lease".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from volfs.errors import ConflictError
from volfs.model.logs.change_codec import ChangeCodec, LogChange
from volfs.model.logs.volume_facts import Count, OidField, VolumeId
from volfs.model.objects import Kind

Text = Annotated[str, Meta(max_length=8192)]
"""Text of the system, as it is stored."""


class LeaseMade(LogChange, tag="lease", frozen=True):
    """What the session relies on from now on, instead of what the line before says."""

    session: Annotated[str, Meta(min_length=1, max_length=8192)]
    volume: VolumeId
    versions: tuple[tuple[Count, OidField], ...]
    """Versions, each with its manifest."""
    needs: tuple[tuple[Kind, OidField], ...]
    upto: Count
    """What lines of the volume's log added to the lease, up to this one, is in it."""
    kind: Literal["kept", "renewed"]
    ttl: Count
    """After so many seconds without another line, gc may revoke the lease. 0: never."""
    began_ns: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
    over: bytes
    onward: bool
    host: Text
    place: Text


class LeaseEnded(LogChange, tag="ended", frozen=True):
    """The session needs nothing any more. The log ends."""


class LeaseRevoked(LogChange, tag="revoked", frozen=True):
    """The lease was dropped, by its session or by gc. The session may make another one, as if it
    had none."""


LeaseChange = LeaseMade | LeaseEnded | LeaseRevoked
LEASE_CHANGES: ChangeCodec[LeaseChange] = ChangeCodec("line of a lease", LeaseChange)


class LeaseState(NamedTuple):
    """The log of a lease after a line."""

    number: int
    last: LeaseChange
    lease: LeaseMade
    """The newest lease, whether or not it is in force."""

    @property
    def in_force(self) -> LeaseMade | None:
        return self.lease if self.last is self.lease else None


def apply(
    state: LeaseState | None, number: int, era: int, changes: Sequence[LeaseChange]
) -> LeaseState:
    """The state after one more line. ConflictError if the line cannot follow."""
    before = -1 if state is None else state.number
    if number != before + 1 or era or len(changes) != 1:
        raise ConflictError(f"line {number} of era {era} cannot follow line {before} of a lease")
    (change,) = changes
    if isinstance(change, LeaseMade):
        _check_same(state, change)
        return LeaseState(number, change, change)
    if state is None or state.in_force is None:
        raise ConflictError(f"line {number}: no lease is in force that could end")
    return state._replace(number=number, last=change)


def _check_same(state: LeaseState | None, lease: LeaseMade) -> None:
    """A lease follows leases of its own session that it has not ended itself."""
    if state is None:
        return
    if isinstance(state.last, LeaseEnded):
        raise ConflictError(f"session {lease.session}: its log has ended")
    if (lease.session, lease.volume) != (state.lease.session, state.lease.volume):
        raise ConflictError(f"session {lease.session}: the log of another session")
    if isinstance(state.last, LeaseMade) and lease.upto < state.lease.upto:
        raise ConflictError(f"session {lease.session}: a lease that is older than the last one")
