"""How long ago something was, where the clock on the wall may be wrong. Pure.

Within one run of the machine a clock that nobody sets tells it. Between two runs, and
between two machines that have the same store one after the other, only the wall clock does.
So of all time before the first look of another run no more than half of the whole term
counts, and nothing where the clock went back: one wrong date alone never ends a term.
Whoever looks in another run writes down what had passed by then.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from volfs.errors import DamagedObjectError
from volfs.store.clock import NO_RUN, Moment, Steady

_ROW = struct.Struct("<16sqqq")
SIZE = _ROW.size


class Wait(NamedTuple):
    """What is known of the time that has passed of a term, as of the last look that noted it."""

    steady: Steady
    """When that was."""
    wall_ns: int
    """The same by the wall clock."""
    waited_ns: int
    """How much had passed by then."""

    def encode(self) -> bytes:
        return _ROW.pack(*self.steady, self.wall_ns, self.waited_ns)


def decode_wait(data: bytes) -> Wait:
    try:
        boot, ns, wall_ns, waited_ns = _ROW.unpack(data)
    except struct.error as error:
        raise DamagedObjectError(f"a time that has passed: {error}") from error
    return Wait(Steady(boot, ns), wall_ns, waited_ns)


def begin_wait(now: Moment) -> Wait:
    """Of a term that begins now."""
    return Wait(now.steady, now.wall_ns, 0)


def wait_since(wall_ns: int) -> Wait:
    """Of a term of which only a date is known, as older versions of volfs wrote it."""
    return Wait(NO_RUN, wall_ns, 0)


def look_again(wait: Wait, now: Moment, term_ns: int) -> tuple[int, Wait | None]:
    """How much has passed of a term of ``term_ns``, and what to write down.

    None: what is written is right.
    """
    if wait.steady.boot == now.steady.boot:
        return wait.waited_ns + max(0, now.steady.ns - wait.steady.ns), None
    # How long this machine has been running is no evidence: it may have had the store only
    # for a minute.
    waited = wait.waited_ns + min(max(0, now.wall_ns - wait.wall_ns), term_ns // 2)
    return waited, Wait(now.steady, now.wall_ns, waited)
