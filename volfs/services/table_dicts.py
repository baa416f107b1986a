"""Dicts over tables: entries by the hashes of their keys."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from blake3 import blake3

from volfs.errors import OutOfSpaceError, StoreDeniedError
from volfs.services.dicts import check_size, check_update, find_term, lost_value
from volfs.services.lifetimes import (
    IDLE_NS,
    SLACK_NS,
    Age,
    DictEntry,
    Flag,
    begin_term,
    decode_entry,
    look_at,
)
from volfs.services.resources import DICT, get_resource
from volfs.services.service_tables import ENTRIES, VALUES
from volfs.store.clock import Moment, read_moment
from volfs.store.tables import Changing, Reading, TableStore, end_of_prefix

INLINE_MAX = 1024
_SWEPT = 2
_BATCH = 256


class SeenRow(NamedTuple):
    """A row, and what a look at it has found."""

    at: bytes
    entry: DictEntry
    age: Age

    @property
    def is_live(self) -> bool:
        return self.age.left_ns > 0

    @property
    def is_news(self) -> bool:
        """Whether the row has to be written anew, or removed."""
        return not self.is_live or self.age.noted is not None


class TableDicts:
    """``dicts.Dicts`` over tables.

    Whoever finds that an entry has expired removes it. So an entry that was seen to have expired
    stays gone, even if the next reader knows less of the time (``store/elapsed.py``).
    """

    def __init__(self, store: TableStore, now: Callable[[], Moment] = read_moment) -> None:
        self._tables = store.durable
        self._now = now

    # --- one key ---------------------------------------------------------

    def find(self, dict_id: str, key: bytes) -> bytes | None:
        found = self._tables.read(lambda txn: self._look(txn, dict_id, key))
        if found is None:
            return None
        seen, value = found
        if seen.is_live and not seen.entry.flags & Flag.TTL and seen.age.left_ns < IDLE_NS:
            used = begin_term(seen.entry, IDLE_NS + SLACK_NS, self._now())
            seen = seen._replace(age=seen.age._replace(noted=used))
        self._note(dict_id, [seen])
        return value

    def contains(self, dict_id: str, key: bytes) -> bool:
        def look(txn: Reading) -> SeenRow | None:
            get_resource(txn, dict_id, DICT)
            return self._find_entry(txn, row_key(dict_id, key))

        seen = self._tables.read(look)
        if seen is None:
            return False
        self._note(dict_id, [seen])
        return seen.is_live

    def put(
        self, dict_id: str, key: bytes, value: bytes, *, ttl: float | None, only_new: bool
    ) -> bool:
        check_size(len(value), "Dict.put")
        term = find_term(ttl)

        def act(txn: Changing) -> bool:
            get_resource(txn, dict_id, DICT)
            at = row_key(dict_id, key)
            if only_new and self._has_live(txn, at):
                return False
            self._write(txn, at, term, key, value)
            self._sweep(txn, dict_id, at)
            return True

        return self._tables.change(act, adds=len(value))

    def swap(self, dict_id: str, key: bytes, expected: bytes | None, value: bytes) -> bool:
        check_size(len(value), "Dict.put")

        def act(txn: Changing) -> bool:
            found = self._look(txn, dict_id, key)
            if (found and found[1]) != expected:
                if found is not None:
                    self._settle(txn, found[0])
                return False
            self._write(txn, row_key(dict_id, key), find_term(None), key, value)
            return True

        return self._tables.change(act, adds=len(value))

    def pop(self, dict_id: str, key: bytes) -> bytes | None:
        def act(txn: Changing) -> bytes | None:
            found = self._look(txn, dict_id, key)
            self._erase(txn, row_key(dict_id, key))
            return found and found[1]

        return self._tables.change(act, adds=None)

    # --- many ------------------------------------------------------------

    def update(self, dict_id: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        size = check_update(items)

        def act(txn: Changing) -> None:
            get_resource(txn, dict_id, DICT)
            for key, value in items:
                self._write(txn, row_key(dict_id, key), find_term(None), key, value)

        self._tables.change(act, adds=size)

    def count(self, dict_id: str) -> int:
        """Count the entries. This looks at each."""
        return sum(1 for _ in self._iter_entries(dict_id))

    def iter_keys(self, dict_id: str) -> Iterator[bytes]:
        for entry in self._iter_entries(dict_id):
            yield entry.key

    def iter_items(self, dict_id: str) -> Iterator[tuple[bytes, bytes]]:
        for entry in self._iter_entries(dict_id):
            if entry.flags & Flag.APART:
                key = entry.key
                found = self._tables.read(lambda txn: self._look(txn, dict_id, key))  # noqa: B023
                if found is not None and found[1] is not None:
                    yield entry.key, found[1]
            else:
                yield entry.key, entry.value

    def clear(self, dict_id: str) -> None:
        first = dict_id.encode()

        def act(txn: Changing) -> None:
            get_resource(txn, dict_id, DICT)
            for table in (ENTRIES, VALUES):
                txn.delete_range(table, first, end_of_prefix(first))

        self._tables.change(act, adds=None)

    def _iter_entries(self, dict_id: str) -> Iterator[DictEntry]:
        first = dict_id.encode()
        end = end_of_prefix(first)
        while rows := self._read_batch(dict_id, first, end):
            now = self._now()
            batch = [see(at, row, now) for at, row in rows]
            self._note(dict_id, batch)
            yield from (seen.entry for seen in batch if seen.is_live)
            first = rows[-1][0] + b"\0"

    def _read_batch(self, dict_id: str, first: bytes, end: bytes) -> list[tuple[bytes, bytes]]:
        def look(txn: Reading) -> list[tuple[bytes, bytes]]:
            get_resource(txn, dict_id, DICT)
            return txn.scan(ENTRIES, first, end, _BATCH)

        return self._tables.read(look)

    def _note(self, dict_id: str, looks: list[SeenRow]) -> None:
        """Write down what looks have found, where it is new and the rows have not changed
        since."""
        news = [seen for seen in looks if seen.is_news]

        def act(txn: Changing) -> None:
            get_resource(txn, dict_id, DICT)
            for seen in news:
                if txn.find(ENTRIES, seen.at) == seen.entry.encode():
                    self._settle(txn, seen)

        if news:
            # If nothing can be written, the next look finds it out again.
            adds = 0 if any(seen.is_live for seen in news) else None
            with contextlib.suppress(OutOfSpaceError, StoreDeniedError):
                self._tables.change(act, adds)

    # --- within a transaction --------------------------------------------

    def _look(self, txn: Reading, dict_id: str, key: bytes) -> tuple[SeenRow, bytes | None] | None:
        """A row, and its value unless the entry has expired."""
        get_resource(txn, dict_id, DICT)
        at = row_key(dict_id, key)
        seen = self._find_entry(txn, at)
        if seen is None or not seen.is_live:
            return seen and (seen, None)
        if not seen.entry.flags & Flag.APART:
            return seen, seen.entry.value
        value = txn.find(VALUES, at)
        if value is None:
            raise lost_value(dict_id)
        return seen, value

    def _find_entry(self, txn: Reading, at: bytes) -> SeenRow | None:
        row = txn.find(ENTRIES, at)
        return None if row is None else see(at, row, self._now())

    def _has_live(self, txn: Changing, at: bytes) -> bool:
        seen = self._find_entry(txn, at)
        if seen is None:
            return False
        self._settle(txn, seen)
        return seen.is_live

    def _settle(self, txn: Changing, seen: SeenRow) -> None:
        """Write the row of an entry as a look has found it."""
        if not seen.is_live:
            self._erase(txn, seen.at)
        elif seen.age.noted is not None:
            txn.put(ENTRIES, seen.at, seen.age.noted.encode())

    def _write(
        self, txn: Changing, at: bytes, term: tuple[int, Flag], key: bytes, value: bytes
    ) -> None:
        term_ns, flags = term
        if len(value) > INLINE_MAX:
            txn.put(VALUES, at, value)
            entry = DictEntry(term_ns, None, flags | Flag.APART, key, b"")
        else:
            txn.delete(VALUES, at)
            entry = DictEntry(term_ns, None, flags, key, value)
        txn.put(ENTRIES, at, begin_term(entry, term_ns, self._now()).encode())

    def _erase(self, txn: Changing, at: bytes) -> None:
        txn.delete(ENTRIES, at)
        txn.delete(VALUES, at)

    def _sweep(self, txn: Changing, dict_id: str, at: bytes) -> None:
        """Remove the neighbours if they have expired.

        Rows are in the order of hashes, so neighbours are random entries. The more is written, the
        more is swept, and nobody ever has to look at all entries.
        """
        for key, row in txn.scan(ENTRIES, at + b"\0", end_of_prefix(dict_id.encode()), _SWEPT):
            self._settle(txn, see(key, row, self._now()))


def see(at: bytes, row: bytes, now: Moment) -> SeenRow:
    entry = decode_entry(row)
    return SeenRow(at, entry, look_at(entry, now))


def row_key(dict_id: str, key: bytes) -> bytes:
    """The key of an entry's row: a hash, because keys may be longer than those of a table."""
    return dict_id.encode() + blake3(key).digest()
