"""How long a pack has been in quarantine, where the clock on the wall may be wrong. Pure.

Within one run of the machine a clock that nobody sets tells it. Across a restart only the
wall clock does, so of that time no more than half of the grace counts, and nothing where
the clock went back: one wrong date alone never ends a grace. Whoever looks in a later run
of the machine writes down what had been waited by then.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from volfs.errors import DamagedObjectError
from volfs.store.care import GcOptions
from volfs.store.clock import Steady

_ROW = struct.Struct("<16sqqq")
SIZE = _ROW.size


class Wait(NamedTuple):
    """What is known of a pack's time in quarantine since somebody looked last."""

    steady: Steady
    """When that was."""
    wall_ns: int
    """The same by the wall clock."""
    waited_ns: int
    """How long it had waited by then."""

    def encode(self) -> bytes:
        return _ROW.pack(*self.steady, self.wall_ns, self.waited_ns)


def decode_wait(data: bytes) -> Wait:
    try:
        boot, ns, wall_ns, waited_ns = _ROW.unpack(data)
    except struct.error as error:
        raise DamagedObjectError(f"time in quarantine: {error}") from error
    return Wait(Steady(boot, ns), wall_ns, waited_ns)


def begin_wait(options: GcOptions) -> Wait | None:
    """Of a pack that goes into quarantine now."""
    return options.steady and Wait(options.steady, options.now_ns, 0)


def look_again(since_ns: int, wait: Wait | None, options: GcOptions) -> tuple[int, Wait | None]:
    """How long a pack has waited that was put aside at ``since_ns``, and what to write down.

    None: what is written is right.
    """
    now = options.steady
    if now is None:
        return options.now_ns - since_ns, None
    if wait is not None and wait.steady.boot == now.boot:
        return wait.waited_ns + max(0, now.ns - wait.steady.ns), None
    half = options.grace_ns // 2
    if wait is None:  # put aside in no run of the machine that is known
        waited = min(max(0, options.now_ns - since_ns), half)
    else:
        # Since then: this run of the machine, and what the wall clock says of the time before.
        apart = min(max(0, options.now_ns - wait.wall_ns - now.ns), half)
        waited = wait.waited_ns + now.ns + apart
    return waited, Wait(now, options.now_ns, waited)
