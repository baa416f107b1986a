"""Queues over tables. Items have consecutive numbers. The row of a partition says which numbers
exist."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from volfs.errors import DamagedObjectError
from volfs.services import queues
from volfs.services.queues import QueueUsage, check_items, check_ttl, too_many_partitions
from volfs.services.resources import EVERYTHING, QUEUE, Clock, get_resource
from volfs.services.service_tables import COUNTS, ITEMS, PARTITIONS
from volfs.services.signal_wait import wait_for
from volfs.store.clock import uptime_ns
from volfs.store.tables import Changing, Reading, Signal, TableStore, end_of_prefix

_ROW = struct.Struct("<QQQQ")
_NUMBER = struct.Struct(">Q")
_COUNT = struct.Struct("<I")


class Partition(NamedTuple):
    """A row: items ``head`` to ``tail - 1`` exist, and have so many bytes together."""

    head: int
    tail: int
    size: int
    expires_ns: int
    """By the clock of this run of the machine, which nobody can set: no partition outlives that
    run."""

    @property
    def length(self) -> int:
        return self.tail - self.head

    def has_room(self, items: Sequence[bytes]) -> bool:
        return queues.fits(self.length + len(items), self.size + sum(map(len, items)))


_NEW = Partition(0, 0, 0, 0)


class TableQueues:
    """``queues.Queues`` over tables."""

    def __init__(self, store: TableStore, now: Clock = uptime_ns) -> None:
        self._store = store
        self._tables = store.volatile
        self._now = now

    # --- putting and taking ----------------------------------------------

    def put(
        self, queue_id: str, partition: bytes, items: Sequence[bytes], ttl: float, call: str
    ) -> bool:
        check_items(items, call)
        check_ttl(ttl)
        at = row_key(queue_id, partition)

        def act(txn: Changing) -> bool:
            self._check(queue_id)
            row = self._find(txn, at) or self._add(txn, queue_id, at)
            if not row.has_room(items):
                return False
            for number, item in enumerate(items, row.tail):
                txn.put(ITEMS, at + _NUMBER.pack(number), item)
            size = row.size + sum(map(len, items))
            expires_ns = self._now() + int(ttl * 1e9)
            self._write(txn, at, Partition(row.head, row.tail + len(items), size, expires_ns))
            return True

        done = self._tables.change(act, adds=sum(map(len, items)))
        if done:
            self._signal(b"items", at).wake(len(items))
            self._signal(b"arrivals", at).wake()
        return done

    def put_waiting(
        self,
        queue_id: str,
        partition: bytes,
        items: Sequence[bytes],
        ttl: float,
        call: str,
        seconds: float | None,
    ) -> bool:
        room = self._signal(b"room", row_key(queue_id, partition))

        def look() -> bool | None:
            return self.put(queue_id, partition, items, ttl, call) or None

        return wait_for(look, room, seconds) or False

    def take(self, queue_id: str, partition: bytes, limit: int) -> list[bytes]:
        at = row_key(queue_id, partition)

        def act(txn: Changing) -> list[bytes]:
            self._check(queue_id)
            row = self._find(txn, at)
            return [] if row is None or not row.length else self._take(txn, at, row, limit)

        items = self._tables.change(act, adds=None)
        if items:
            self._signal(b"room", at).wake()
        return items

    def take_waiting(
        self, queue_id: str, partition: bytes, limit: int, seconds: float | None
    ) -> list[bytes]:
        items = self._signal(b"items", row_key(queue_id, partition))
        return wait_for(lambda: self.take(queue_id, partition, limit) or None, items, seconds) or []

    def _take(self, txn: Changing, at: bytes, row: Partition, limit: int) -> list[bytes]:
        numbers = range(row.head, min(row.tail, row.head + limit))
        items = [self._get_item(txn, at, number) for number in numbers]
        for number in numbers:
            txn.delete(ITEMS, at + _NUMBER.pack(number))
        left = row._replace(head=row.head + len(items), size=row.size - sum(map(len, items)))
        self._write(txn, at, left)
        return items

    # --- looking ---------------------------------------------------------

    def peek(
        self, queue_id: str, partition: bytes, position: int, limit: int
    ) -> tuple[list[bytes], int]:
        at = row_key(queue_id, partition)

        def look(txn: Reading) -> tuple[list[bytes], int]:
            self._check(queue_id)
            row = self._find(txn, at) or _NEW
            first = position if row.head <= position <= row.tail else row.head
            numbers = range(first, min(row.tail, first + limit))
            return [self._get_item(txn, at, number) for number in numbers], first + len(numbers)

        return self._tables.read(look)

    def peek_waiting(
        self, queue_id: str, partition: bytes, position: int, limit: int, seconds: float
    ) -> tuple[list[bytes], int]:
        def look() -> tuple[list[bytes], int] | None:
            found = self.peek(queue_id, partition, position, limit)
            return found if found[0] else None

        arrivals = self._signal(b"arrivals", row_key(queue_id, partition))
        return wait_for(look, arrivals, seconds) or ([], position)

    def count(self, queue_id: str, partition: bytes) -> int:
        def look(txn: Reading) -> int:
            self._check(queue_id)
            row = self._find(txn, row_key(queue_id, partition))
            return 0 if row is None else row.length

        return self._tables.read(look)

    def get_usage(self, queue_id: str) -> QueueUsage:
        first = queue_id.encode()

        def look(txn: Reading) -> QueueUsage:
            self._check(queue_id)
            rows = txn.scan(PARTITIONS, first, end_of_prefix(first), EVERYTHING)
            counts = [row.length for _, data in rows if (row := self._live(data)) is not None]
            return QueueUsage(sum(1 for count in counts if count), sum(counts))

        return self._tables.read(look)

    # --- removing --------------------------------------------------------

    def clear(self, queue_id: str, partition: bytes) -> None:
        at = row_key(queue_id, partition)

        def act(txn: Changing) -> None:
            self._check(queue_id)
            row = self._find(txn, at)
            if row is not None:
                txn.delete_range(ITEMS, at, end_of_prefix(at))
                self._write(txn, at, row._replace(head=row.tail, size=0))

        self._tables.change(act, adds=None)
        self._signal(b"room", at).wake()

    def clear_all(self, queue_id: str) -> None:
        first = queue_id.encode()

        def act(txn: Changing) -> list[bytes]:
            self._check(queue_id)
            rows = txn.scan(PARTITIONS, first, end_of_prefix(first), EVERYTHING)
            for table in (PARTITIONS, ITEMS, COUNTS):
                txn.delete_range(table, first, end_of_prefix(first))
            return [at for at, _ in rows]

        for at in self._tables.change(act, adds=None):
            self._signal(b"room", at).wake()

    # --- within a transaction --------------------------------------------

    def _check(self, queue_id: str) -> None:
        self._store.durable.read(lambda txn: get_resource(txn, queue_id, QUEUE))

    def _find(self, txn: Reading, at: bytes) -> Partition | None:
        data = txn.find(PARTITIONS, at)
        return None if data is None else self._live(data)

    def _live(self, data: bytes) -> Partition | None:
        """The row of a partition, unless it has expired."""
        row = decode_partition(data)
        return row if row.expires_ns > self._now() else None

    def _write(self, txn: Changing, at: bytes, row: Partition) -> None:
        txn.put(PARTITIONS, at, _ROW.pack(*row))

    def _get_item(self, txn: Reading, at: bytes, number: int) -> bytes:
        item = txn.find(ITEMS, at + _NUMBER.pack(number))
        if item is None:
            raise DamagedObjectError(f"item {number} of a Queue is missing; clear the Queue")
        return item

    def _add(self, txn: Changing, queue_id: str, at: bytes) -> Partition:
        """A new partition, which takes the place of an expired one if there is one."""
        self._erase(txn, queue_id, at)
        self._sweep(txn, queue_id, at, limit=2)
        if self._count_partitions(txn, queue_id) >= queues.PARTITIONS_MAX:
            self._sweep(txn, queue_id, queue_id.encode(), limit=EVERYTHING)
        count = self._count_partitions(txn, queue_id)
        if count >= queues.PARTITIONS_MAX:
            raise too_many_partitions(queue_id, count)
        txn.put(COUNTS, queue_id.encode(), _COUNT.pack(count + 1))
        return _NEW

    def _count_partitions(self, txn: Reading, queue_id: str) -> int:
        data = txn.find(COUNTS, queue_id.encode())
        return 0 if data is None else int(_COUNT.unpack(data)[0])

    def _sweep(self, txn: Changing, queue_id: str, after: bytes, limit: int) -> None:
        """Remove expired partitions among the next ones."""
        rows = txn.scan(PARTITIONS, after + b"\0", end_of_prefix(queue_id.encode()), limit)
        for at, data in rows:
            if self._live(data) is None:
                self._erase(txn, queue_id, at)

    def _erase(self, txn: Changing, queue_id: str, at: bytes) -> None:
        if txn.delete(PARTITIONS, at):
            txn.delete_range(ITEMS, at, end_of_prefix(at))
            count = self._count_partitions(txn, queue_id)
            txn.put(COUNTS, queue_id.encode(), _COUNT.pack(count - 1))

    def _signal(self, what: bytes, at: bytes) -> Signal:
        return self._store.signal(what + b" " + at)


def row_key(queue_id: str, partition: bytes) -> bytes:
    """The key of a partition's row. It begins with the length of the name, so that no partition's
    items lie among those of another."""
    return queue_id.encode() + bytes((len(partition),)) + partition


def decode_partition(data: bytes) -> Partition:
    try:
        row = Partition(*_ROW.unpack(data))
    except struct.error as error:
        raise DamagedObjectError(f"a partition of a Queue: {error}") from error
    if row.head > row.tail:
        raise DamagedObjectError("a partition of a Queue ends before it begins")
    return row
