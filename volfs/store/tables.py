"""The contract of tables: what Dict, Queue and Secret keep, as bytes that mean nothing here.

A table is an ordered map of bytes to bytes. There are two sorts. *Durable* tables keep a change
through a power cut, once the call has returned. *Volatile* tables keep a change through the death
of every process, and are empty after the machine has restarted.

A change is a function that an engine may run more than once, until nobody has come between its
reads and its writes. Therefore it must do nothing except read and write tables. A change of
volatile tables may read durable ones.

Everything here blocks and may be called from any thread, and in a process that was forked from the
one that opened the tables. ``tests/store/test_tables_contract.py`` runs one suite over every
engine.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")
KEY_MAX = 500
"""The most bytes of a key. A key has at least one."""


class TableNames(NamedTuple):
    """The tables that a program wants. They need not exist yet."""

    durable: tuple[str, ...]
    volatile: tuple[str, ...] = ()


class Reading(Protocol):
    """The tables as they are at one moment."""

    def find(self, table: str, key: bytes) -> bytes | None: ...

    def scan(self, table: str, first: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """The first ``limit`` rows with ``first <= key < end``, in the order of keys."""


class Changing(Reading, Protocol):
    """As ``Reading``, with its own changes. The changes take effect all at once, or not at all."""

    def put(self, table: str, key: bytes, value: bytes) -> None: ...

    def delete(self, table: str, key: bytes) -> bool:
        """Remove a row. Whether it was there."""

    def delete_range(self, table: str, first: bytes, end: bytes, limit: int | None = None) -> int:
        """Remove at most ``limit`` rows with ``first <= key < end``. How many were removed."""


class Tables(Protocol):
    """All tables of one sort."""

    def read(self, look: Callable[[Reading], T]) -> T:
        """The result of ``look``, which sees one moment of the tables. StoreError."""

    def change(self, act: Callable[[Changing], T], adds: int | None = 0) -> T:
        """Run ``act`` as if it were alone, and keep its changes. Nothing is kept if it raises.

        ``adds`` is the most bytes of values that ``act`` puts; small values need not be counted.
        None says that it removes more than it puts, which is possible on a full disk, too.
        OutOfSpaceError; StoreError.
        """


class Signal(Protocol):
    """An event that other processes wait for.

    Take a ticket, look at the tables, then wait. An event between the ticket and the wait ends the
    wait at once. A wait may end without a reason.
    """

    def ticket(self) -> int: ...

    def wait(self, ticket: int, seconds: float) -> None:
        """Wait until a wake after ``ticket``, or for ``seconds``."""

    def wake(self, waiters: int | None = None) -> None:
        """End the waits of this many waiters, in the order in which they began. None ends all."""


class TableStore(Protocol):
    """The tables of a store. Close it after use."""

    url: str
    key_file: Path
    """The key file of Secrets, unless ``VOLFS_SECRET_KEY_FILE`` names another. It is not in the
    store, so a copy of the store has no key."""
    durable: Tables
    volatile: Tables

    @property
    def keeps_contents(self) -> bool:
        """Whether Dicts and Queues can be kept here. If not, the volatile tables are empty and
        refuse changes, there are no signals, and durable tables are for what changes seldom."""

    def signal(self, name: bytes) -> Signal:
        """The signal of this name. Two names may, rarely, share one."""

    def close(self) -> None: ...


def end_of_prefix(prefix: bytes) -> bytes:
    """The end of the range of keys that begin with a prefix. The prefix must not be all 0xff."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes((head[-1] + 1,))
