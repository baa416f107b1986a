"""The log of one session's lease. The newest line counts, and no other.

A lease is *in force* while the newest line is a lease. gc deletes old logs, so nobody needs the
lines before the newest. Layout: docs/format.md, "The log of a lease".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from volfs.errors import ConflictError
from volfs.model.logs.change_codec import ChangeCodec, LogChange
from volfs.model.logs.volume_facts import Natural, OidField, VolumeId
from volfs.model.objects import Kind

Text = Annotated[str, Meta(max_length=8192)]
"""Text of the system, as it is stored."""
REVOKED_STAYS = 30 * 24 * 3600
"""Seconds for which the log of a revoked lease stays, so that its session can read what became of
the lease."""
_NS = 1_000_000_000


class LeaseMade(LogChange, tag="lease", frozen=True):
    """What the session relies on from now on, instead of what the line before says."""

    session: Annotated[str, Meta(min_length=1, max_length=8192)]
    volume: VolumeId
    versions: tuple[tuple[Natural, OidField], ...]
    """Versions, each with its manifest."""
    needs: tuple[tuple[Kind, OidField], ...]
    upto: Natural
    """What lines of the volume's log added to the lease, up to this one, is in it."""
    kind: Literal["kept", "renewed"]
    ttl: Natural
    """After so many seconds without another line, gc may revoke the lease. 0: never."""
    began_ns: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
    over: bytes
    onward: bool
    host: Text
    place: Text
    host_name: Text = ""
    """The name that the system of the host has, for people."""


class LeaseEnded(LogChange, tag="ended", frozen=True):
    """The session needs nothing any more. A later life of the session may go on in this log."""


class LeaseRevoked(LogChange, tag="revoked", frozen=True):
    """Somebody has taken the lease from its session: gc, or a person. This life of the session has
    lost it. A later life may make another lease, as if there had been none."""


LeaseChange = LeaseMade | LeaseEnded | LeaseRevoked
LEASE_CHANGES: ChangeCodec[LeaseChange] = ChangeCodec("line of a lease", LeaseChange)


class LeaseState(NamedTuple):
    """The log of a lease after a line."""

    number: int
    last: LeaseChange | None
    """None if the newest line cannot be read."""
    lease: LeaseMade | None
    """The newest lease, whether or not it is in force. None if it is not known."""

    @property
    def in_force(self) -> LeaseMade | None:
        return self.lease if self.last is not None and self.last is self.lease else None


def begin_at(number: int, changes: Sequence[LeaseChange]) -> LeaseState:
    """The state after a line that is the newest, whatever came before it. ConflictError for a line
    that no log of a lease has."""
    if len(changes) != 1:
        raise ConflictError(f"line {number} of a lease has {len(changes)} changes")
    (last,) = changes
    return LeaseState(number, last, last if isinstance(last, LeaseMade) else None)


def apply(
    state: LeaseState | None, number: int, era: int, changes: Sequence[LeaseChange]
) -> LeaseState:
    """The state after one more line. ConflictError if the line cannot follow."""
    before = -1 if state is None else state.number
    if number != before + 1 or era or len(changes) != 1:
        raise ConflictError(f"line {number} of era {era} cannot follow line {before} of a lease")
    (change,) = changes
    if isinstance(change, LeaseMade):
        if state is not None and state.last is not None and state.lease is not None:
            _check_same(state.last, state.lease, change)
        return LeaseState(number, change, change)
    if state is None or (state.last is not None and state.in_force is None):
        raise ConflictError(f"line {number}: no lease is in force that could end")
    return state._replace(number=number, last=change)


def _check_same(last: LeaseChange, former: LeaseMade, lease: LeaseMade) -> None:
    """A lease follows leases of its own session. A life whose lease was revoked makes no more."""
    if (lease.session, lease.volume) != (former.session, former.volume):
        raise ConflictError(f"session {lease.session}: the log of another session")
    if isinstance(last, LeaseRevoked) and lease.began_ns == former.began_ns:
        raise ConflictError(f"session {lease.session}: its lease was revoked")
    if last is former and lease.upto < former.upto:
        raise ConflictError(f"session {lease.session}: a lease that is older than the last one")


# --- what gc does with leases ---------------------------------------------------
# Both times of a comparison are those of the store's clock, which may be wrong. A wrong judgement
# costs a mount its lease, and never a version its content.


def is_overdue(lease: LeaseMade, written_ns: int, now_ns: int) -> bool:
    """Whether gc may revoke a lease whose line was written then: its session should have renewed
    it, and has not for the whole ttl."""
    return lease.ttl > 0 and now_ns - written_ns > lease.ttl * _NS


def is_over(last: LeaseChange, written_ns: int, now_ns: int) -> bool:
    """Whether gc may delete a log whose newest line was written then."""
    if isinstance(last, LeaseRevoked):
        return now_ns - written_ns > REVOKED_STAYS * _NS
    return isinstance(last, LeaseEnded)
