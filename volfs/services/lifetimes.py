"""When an entry of a Dict expires, and how its row says so. Pure.

A row has a term, and the time that is known to have passed of it (``store/elapsed.py``). Rows of
older versions of volfs have only a date. They begin a term when they are first seen.
"""

from __future__ import annotations

import struct
from enum import IntFlag
from typing import NamedTuple

from volfs.errors import DamagedObjectError
from volfs.store.clock import Moment
from volfs.store.elapsed import SIZE, Wait, begin_wait, decode_wait, look_again

IDLE_NS = 7 * 24 * 3600 * 10**9
"""An entry expires when nobody has read or written it for so long ..."""
SLACK_NS = 3600 * 10**9
"""... or up to this much later, because not every read is worth a write."""
OVERDUE_NS = 600 * 10**9
"""How long an entry that has only a date, which has passed, is kept after the first look."""
TERM_MAX = (1 << 63) - 1
_HEAD = struct.Struct("<QB3xI")


class Flag(IntFlag):
    TTL = 1
    """The entry expires when its term is over, used or not."""
    APART = 2
    """The value is in the other table."""
    TERM = 4
    """The row has a term. Without this flag it has a date."""


class DictEntry(NamedTuple):
    """A row. ``value`` is empty if the value lies apart."""

    term_ns: int
    """The date in nanoseconds since 1970, for a row without a term."""
    wait: Wait | None
    flags: Flag
    key: bytes
    value: bytes

    def encode(self) -> bytes:
        flags = self.flags & ~Flag.TERM if self.wait is None else self.flags | Flag.TERM
        head = _HEAD.pack(self.term_ns, flags, len(self.key))
        return head + (self.wait.encode() if self.wait else b"") + self.key + self.value


class Age(NamedTuple):
    """What a look at an entry has found."""

    left_ns: int
    """Time that is left. At 0 and below, the entry has expired."""
    noted: DictEntry | None
    """The row as it is to be written, or None if nothing has changed."""


def decode_entry(row: bytes) -> DictEntry:
    try:
        term_ns, flags, length = _HEAD.unpack_from(row)
        start = _HEAD.size + SIZE * bool(flags & Flag.TERM)
        end = start + length
        if len(row) < end:
            raise ValueError("too short")
        wait = decode_wait(row[_HEAD.size : start]) if flags & Flag.TERM else None
        return DictEntry(term_ns, wait, Flag(flags & ~Flag.TERM), row[start:end], row[end:])
    except (struct.error, ValueError) as error:
        raise DamagedObjectError(f"an entry of a Dict: {error}") from error


def begin_term(entry: DictEntry, term_ns: int, now: Moment) -> DictEntry:
    return entry._replace(term_ns=min(term_ns, TERM_MAX), wait=begin_wait(now))


def look_at(entry: DictEntry, now: Moment) -> Age:
    """How much is left of an entry's term."""
    if entry.wait is None:
        most = TERM_MAX if entry.flags & Flag.TTL else IDLE_NS + SLACK_NS
        left = min(max(entry.term_ns - now.wall_ns, OVERDUE_NS), most)
        return Age(left, begin_term(entry, left, now))
    waited, wait = look_again(entry.wait, now, entry.term_ns)
    return Age(entry.term_ns - waited, wait and entry._replace(wait=wait))
