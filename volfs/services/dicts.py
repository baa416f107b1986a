"""What a Dict does: entries by the bytes of their keys, that expire when nobody uses them."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from enum import IntFlag
from typing import NamedTuple

from blake3 import blake3

from volfs.errors import DamagedObjectError, InvalidError, OutOfSpaceError, RequestSizeError
from volfs.services.layout import ENTRIES, VALUES
from volfs.services.resources import DICT, Clock, get_resource
from volfs.store.clock import now_ns
from volfs.store.tables import Changing, Reading, TableStore, end_of

VALUE_MAX = 100 << 20
UPDATE_MAX = 10_000
IDLE_NS = 7 * 24 * 3600 * 10**9
"""An entry expires when nobody has read or written it for so long."""
SLACK_NS = 3600 * 10**9
"""... or up to so much later: not every read is worth a write."""
INLINE_MAX = 1024
_SWEPT = 2
_BATCH = 256
_FOREVER = (1 << 64) - 1
_HEAD = struct.Struct("<QB3xI")


class Flag(IntFlag):
    TTL = 1
    """It expires at its time, used or not."""
    APART = 2
    """The value is in the other table."""


class Entry(NamedTuple):
    """A row. ``value`` is empty where it lies apart."""

    expires_ns: int
    flags: Flag
    key: bytes
    value: bytes

    def encode(self) -> bytes:
        head = _HEAD.pack(self.expires_ns, self.flags, len(self.key))
        return head + self.key + self.value


def decode_entry(row: bytes) -> Entry:
    try:
        expires_ns, flags, length = _HEAD.unpack_from(row)
        start, end = _HEAD.size, _HEAD.size + length
        if len(row) < end:
            raise ValueError("too short")
        return Entry(expires_ns, Flag(flags), row[start:end], row[end:])
    except (struct.error, ValueError) as error:
        raise DamagedObjectError(f"an entry of a Dict: {error}") from error


class Dicts:
    """All Dicts of a store. NotFoundError from each call if the Dict is gone."""

    def __init__(self, store: TableStore, now: Clock = now_ns) -> None:
        self._tables = store.durable
        self._now = now

    # --- one key ---------------------------------------------------------

    def find(self, dict_id: str, key: bytes) -> bytes | None:
        """The value; using it puts its expiry off."""
        found = self._tables.read(lambda txn: self._look(txn, dict_id, key))
        if found is None:
            return None
        entry, value = found
        if not entry.flags & Flag.TTL and entry.expires_ns < self._now() + IDLE_NS:
            with contextlib.suppress(OutOfSpaceError):
                self._touch(dict_id, key)
        return value

    def contains(self, dict_id: str, key: bytes) -> bool:
        """Whether ``find`` would find it. Not a use."""

        def look(txn: Reading) -> bool:
            get_resource(txn, dict_id, DICT)
            return self._find_entry(txn, row_key(dict_id, key)) is not None

        return self._tables.read(look)

    def put(
        self, dict_id: str, key: bytes, value: bytes, *, ttl: float | None, only_new: bool
    ) -> bool:
        """Whether it was written; with ``only_new``, only where there is none.

        ``ttl``, in seconds, replaces the expiry by disuse. RequestSizeError; InvalidError.
        """
        check_size(len(value), "Dict.put")
        expiry = self._expiry(ttl)

        def act(txn: Changing) -> bool:
            get_resource(txn, dict_id, DICT)
            at = row_key(dict_id, key)
            if only_new and self._find_entry(txn, at) is not None:
                return False
            self._write(txn, at, expiry, key, value)
            self._sweep(txn, dict_id, at)
            return True

        return self._tables.change(act, adds=len(value))

    def swap(self, dict_id: str, key: bytes, expected: bytes | None, value: bytes) -> bool:
        """Put, if the value is still ``expected`` (None: if there is none); whether it was."""
        check_size(len(value), "Dict.put")

        def act(txn: Changing) -> bool:
            found = self._look(txn, dict_id, key)
            if (found and found[1]) != expected:
                return False
            self._write(txn, row_key(dict_id, key), self._expiry(None), key, value)
            return True

        return self._tables.change(act, adds=len(value))

    def pop(self, dict_id: str, key: bytes) -> bytes | None:
        """Remove an entry; the value it had."""

        def act(txn: Changing) -> bytes | None:
            found = self._look(txn, dict_id, key)
            self._erase(txn, row_key(dict_id, key))
            return found and found[1]

        return self._tables.change(act, adds=None)

    # --- many ------------------------------------------------------------

    def update(self, dict_id: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Put all or none. RequestSizeError beyond ``UPDATE_MAX`` of them, or their bytes."""
        size = sum(len(value) for _, value in items)
        check_size(max((len(value) for _, value in items), default=0), "Dict.update")
        if len(items) > UPDATE_MAX:
            raise RequestSizeError(
                f"Dict.update request is too large: {len(items):,} entries, at most "
                f"{UPDATE_MAX:,} at once"
            )

        def act(txn: Changing) -> None:
            get_resource(txn, dict_id, DICT)
            for key, value in items:
                self._write(txn, row_key(dict_id, key), self._expiry(None), key, value)

        self._tables.change(act, adds=size)

    def count(self, dict_id: str) -> int:
        """Looks at every entry."""
        return sum(1 for _ in self._iter_entries(dict_id))

    def iter_keys(self, dict_id: str) -> Iterator[bytes]:
        """In no order. What is put or removed meanwhile may or may not appear."""
        for entry in self._iter_entries(dict_id):
            yield entry.key

    def iter_items(self, dict_id: str) -> Iterator[tuple[bytes, bytes]]:
        """Likewise; not a use of the entries."""
        for entry in self._iter_entries(dict_id):
            if entry.flags & Flag.APART:
                key = entry.key
                found = self._tables.read(lambda txn: self._look(txn, dict_id, key))  # noqa: B023
                if found is not None:
                    yield entry.key, found[1]
            else:
                yield entry.key, entry.value

    def clear(self, dict_id: str) -> None:
        """Remove all entries at once."""
        first = dict_id.encode()

        def act(txn: Changing) -> None:
            get_resource(txn, dict_id, DICT)
            for table in (ENTRIES, VALUES):
                txn.delete_range(table, first, end_of(first))

        self._tables.change(act, adds=None)

    def _iter_entries(self, dict_id: str) -> Iterator[Entry]:
        first = dict_id.encode()
        end = end_of(first)
        while rows := self._read_batch(dict_id, first, end):
            now = self._now()
            entries = (decode_entry(row) for _, row in rows)
            yield from (entry for entry in entries if entry.expires_ns > now)
            first = rows[-1][0] + b"\0"

    def _read_batch(self, dict_id: str, first: bytes, end: bytes) -> list[tuple[bytes, bytes]]:
        def look(txn: Reading) -> list[tuple[bytes, bytes]]:
            get_resource(txn, dict_id, DICT)
            return txn.scan(ENTRIES, first, end, _BATCH)

        return self._tables.read(look)

    # --- within a transaction --------------------------------------------

    def _look(self, txn: Reading, dict_id: str, key: bytes) -> tuple[Entry, bytes] | None:
        get_resource(txn, dict_id, DICT)
        at = row_key(dict_id, key)
        entry = self._find_entry(txn, at)
        if entry is None:
            return None
        if not entry.flags & Flag.APART:
            return entry, entry.value
        value = txn.find(VALUES, at)
        if value is None:
            raise DamagedObjectError(f"Dict {dict_id}: the value of an entry is missing")
        return entry, value

    def _find_entry(self, txn: Reading, at: bytes) -> Entry | None:
        row = txn.find(ENTRIES, at)
        entry = None if row is None else decode_entry(row)
        return entry if entry is not None and entry.expires_ns > self._now() else None

    def _write(
        self, txn: Changing, at: bytes, expiry: tuple[int, Flag], key: bytes, value: bytes
    ) -> None:
        expires_ns, flags = expiry
        if len(value) > INLINE_MAX:
            txn.put(VALUES, at, value)
            txn.put(ENTRIES, at, Entry(expires_ns, flags | Flag.APART, key, b"").encode())
        else:
            txn.delete(VALUES, at)
            txn.put(ENTRIES, at, Entry(expires_ns, flags, key, value).encode())

    def _erase(self, txn: Changing, at: bytes) -> None:
        txn.delete(ENTRIES, at)
        txn.delete(VALUES, at)

    def _touch(self, dict_id: str, key: bytes) -> None:
        def act(txn: Changing) -> None:
            at = row_key(dict_id, key)
            entry = self._find_entry(txn, at)
            if entry is not None and not entry.flags & Flag.TTL:
                used = entry._replace(expires_ns=self._expiry(None)[0])
                txn.put(ENTRIES, at, used.encode())

        self._tables.change(act)

    def _sweep(self, txn: Changing, dict_id: str, at: bytes) -> None:
        """Remove the neighbours if they have expired.

        Rows are in the order of hashes, so these are random ones: the more is
        written, the more is swept, and nobody ever has to look at all.
        """
        rows = txn.scan(ENTRIES, at + b"\0", end_of(dict_id.encode()), _SWEPT)
        for key, row in rows:
            if decode_entry(row).expires_ns <= self._now():
                self._erase(txn, key)

    def _expiry(self, ttl: float | None) -> tuple[int, Flag]:
        if ttl is None:
            return self._now() + IDLE_NS + SLACK_NS, Flag(0)
        if not 0 < ttl < float("inf"):
            raise InvalidError(f"a ttl of {ttl} seconds makes no sense")
        return min(self._now() + int(ttl * 1e9), _FOREVER), Flag.TTL


def row_key(dict_id: str, key: bytes) -> bytes:
    """Keys may be longer than a table's may be."""
    return dict_id.encode() + blake3(key).digest()


def check_size(size: int, call: str) -> None:
    """RequestSizeError."""
    if size > VALUE_MAX:
        raise RequestSizeError(
            f"{call} request is too large: {size:,} bytes, at most {VALUE_MAX:,} for one object"
        )
