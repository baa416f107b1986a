"""The time, by two clocks: the wall clock, which anybody may set, and one that nobody sets."""

from __future__ import annotations

import secrets
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from volfs.errors import StoreUnavailableError
from volfs.model.entry import to_storable_time
from volfs.system.proc import read_boot_id

_RANDOM = (1 << 20) - 1
_OFFSETS = Path("/proc/self/timens_offsets")


def now_ns() -> int:
    """Nanoseconds since 1970 by the wall clock, which may be wrong. The value can be stored."""
    return to_storable_time(time.time_ns())


def unique_ns() -> int:
    """As ``now_ns``, to a millisecond, with random digits below. No value comes twice, although
    clocks are set back."""
    return to_storable_time((time.time_ns() & ~_RANDOM) | secrets.randbits(_RANDOM.bit_length()))


class Steady(NamedTuple):
    """A moment of one run of the machine. Two moments can be compared only within one run."""

    boot: bytes
    """The boot id of the run, 16 bytes."""
    ns: int
    """Nanoseconds since the run began, with the time that the machine slept."""


NO_RUN = Steady(bytes(16), 0)
"""A moment that belongs to no run of any machine."""


class Moment(NamedTuple):
    """Now, by both clocks."""

    steady: Steady
    wall_ns: int


def read_moment() -> Moment:
    return Moment(read_steady(), now_ns())


def read_steady() -> Steady:
    """Now, by the clock that nobody sets."""
    return Steady(read_boot(), uptime_ns())


def uptime_ns() -> int:
    """Nanoseconds since the machine began to run. They are the same in every container."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - _read_offset()


@cache
def _read_offset() -> int:
    """Nanoseconds by which the time namespace of this process shifts the clock of the machine."""
    try:
        offsets = (line.split() for line in _OFFSETS.read_text().splitlines())
        found = [int(s) * 10**9 + int(ns) for name, s, ns in offsets if name in ("boottime", "7")]
    except (OSError, ValueError):
        return 0  # This kernel has no time namespaces.
    return found[0] if found else 0


@cache
def read_boot() -> bytes:
    """The boot id of the machine's present run. StoreUnavailableError."""
    try:
        return UUID(read_boot_id().decode().strip()).bytes
    except OSError as error:
        raise StoreUnavailableError(f"{error.filename}: {error.strerror}") from error
