"""The contract of tables: what Dict, Queue and Secret keep, as bytes that mean nothing here.

A table is an ordered map of bytes to bytes. There are two sorts, by what they
survive: *durable* tables keep a change through a power cut once the call has
returned; *volatile* ones keep it through the death of every process, and are
empty after the machine has restarted. A change is a function that an engine
may run more than once, until nobody has come between its reads and its
writes: so it must do nothing but read and write tables. In a change of volatile
tables durable ones may be read.

Everything here blocks and may be called from any thread, and in a process
forked from the one that opened it. ``tests/store/test_tables_contract.py``
runs one suite over every engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")
KEY_MAX = 500
"""Bytes of a key, at most; at least one."""


class TableNames(NamedTuple):
    """The tables that a program wants. They need not exist yet."""

    durable: tuple[str, ...]
    volatile: tuple[str, ...] = ()


class Reading(Protocol):
    """One moment of the tables."""

    def find(self, table: str, key: bytes) -> bytes | None: ...

    def scan(self, table: str, first: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """The first ``limit`` rows with ``first <= key < end``, in the order of keys."""


class Changing(Reading, Protocol):
    """As ``Reading``, seeing its own changes; they become true all at once, or not at all."""

    def put(self, table: str, key: bytes, value: bytes) -> None: ...

    def delete(self, table: str, key: bytes) -> bool:
        """Whether it was there."""

    def delete_range(self, table: str, first: bytes, end: bytes, limit: int | None = None) -> int:
        """Remove rows with ``first <= key < end``, at most ``limit``; how many they were."""


class Tables(Protocol):
    """Tables of one sort."""

    def read(self, look: Callable[[Reading], T]) -> T:
        """What ``look`` says of one moment. StoreError."""

    def change(self, act: Callable[[Changing], T], adds: int | None = 0) -> T:
        """Run ``act`` as if it were alone, and keep what it changed; nothing if it raises.

        ``adds`` says how many bytes of values it puts at most (small ones need
        not be counted); None, that it removes more than it puts, which is
        possible on a full disk too. OutOfSpaceError; StoreError.
        """


class Signal(Protocol):
    """Something that happens, and that other processes wait for.

    Take a ticket, look at the tables, then wait: what happened between ticket
    and wait ends the wait at once. A wait may end for no reason.
    """

    def ticket(self) -> int: ...

    def wait(self, ticket: int, seconds: float) -> None:
        """Until a wake after ``ticket``, or for ``seconds``."""

    def wake(self, waiters: int | None = None) -> None:
        """End the waits of so many, in the order in which they began; None: of all."""


class TableStore(Protocol):
    """The tables of a store. Close it when done."""

    url: str
    durable: Tables
    volatile: Tables

    def signal(self, name: bytes) -> Signal:
        """The signal of this name. Two names may, rarely, share one."""

    def close(self) -> None: ...


def end_of(prefix: bytes) -> bytes:
    """The end of the range of keys that begin with a prefix, which must not be all 0xff."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes((head[-1] + 1,))
