"""How long ago something was, although the wall clock may be wrong. Pure.

Within one run of the machine, a clock that nobody sets tells the time that has passed. Between two
runs, and between two machines that have the same store one after the other, only the wall clock
tells it. Therefore all time before the first look of another run counts for at most half of the
term, and for nothing if the wall clock went back. One wrong date alone never ends a term. A look
in another run writes down how much had passed by then.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from volfs.errors import DamagedObjectError
from volfs.store.clock import NO_RUN, Moment, Steady

_ROW = struct.Struct("<16sqqq")
SIZE = _ROW.size


class Wait(NamedTuple):
    """How much of a term has passed, as known at the last look that was written down."""

    steady: Steady
    """The moment of that look."""
    wall_ns: int
    """The same moment by the wall clock."""
    waited_ns: int
    """How much had passed at that moment."""

    def encode(self) -> bytes:
        return _ROW.pack(*self.steady, self.wall_ns, self.waited_ns)


def decode_wait(data: bytes) -> Wait:
    try:
        boot, ns, wall_ns, waited_ns = _ROW.unpack(data)
    except struct.error as error:
        raise DamagedObjectError(f"a time that has passed: {error}") from error
    return Wait(Steady(boot, ns), wall_ns, waited_ns)


def begin_wait(now: Moment) -> Wait:
    """The wait for a term that begins now."""
    return Wait(now.steady, now.wall_ns, 0)


def wait_since(wall_ns: int) -> Wait:
    """The wait for a term of which only a date is known, as older versions of volfs wrote it."""
    return Wait(NO_RUN, wall_ns, 0)


def look_again(wait: Wait, now: Moment, term_ns: int) -> tuple[int, Wait | None]:
    """How much of a term of ``term_ns`` has passed, and what to write down.

    None instead of a ``Wait`` means that the written one is still right.
    """
    if wait.steady.boot == now.steady.boot:
        return wait.waited_ns + max(0, now.steady.ns - wait.steady.ns), None
    # The uptime of this machine is no evidence: the machine may have had the store only for a
    # minute.
    waited = wait.waited_ns + min(max(0, now.wall_ns - wait.wall_ns), term_ns // 2)
    return waited, Wait(now.steady, now.wall_ns, waited)
