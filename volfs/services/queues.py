"""The rules of a Queue: first in, first out, in partitions that are independent of each other.

``Queues`` is fulfilled twice: over tables (``table_queues``), and on a server (``redis_queues``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from volfs.errors import InvalidError, RequestSizeError, ResourceExhaustedError

PARTITIONS_MAX = 100_000
PARTITION_ITEMS_MAX = 5_000
PARTITION_BYTES_MAX = 64 << 20
ITEM_MAX = 1 << 20
KEY_MAX = 64
TTL_MAX = 24 * 3600
"""How long a partition is kept after the last put, in seconds, at most."""


class QueueUsage(NamedTuple):
    """What a Queue holds."""

    partitions: int
    items: int


class Queues(Protocol):
    """All Queues of a store. Each call raises NotFoundError if the Queue is gone; StoreError."""

    # --- putting and taking ----------------------------------------------

    def put(
        self, queue_id: str, partition: bytes, items: Sequence[bytes], ttl: float, call: str
    ) -> bool:
        """Append all items or none. False if there is no room now.

        RequestSizeError, which names ``call``, if the items could never fit; InvalidError for the
        ttl; ResourceExhaustedError for too many partitions.
        """

    def put_waiting(
        self,
        queue_id: str,
        partition: bytes,
        items: Sequence[bytes],
        ttl: float,
        call: str,
        seconds: float | None,
    ) -> bool:
        """As ``put``, but wait for room. False if there was none within ``seconds``."""

    def take(self, queue_id: str, partition: bytes, limit: int) -> list[bytes]:
        """Remove and return the first items, at most ``limit``. An empty list if there are
        none."""

    def take_waiting(
        self, queue_id: str, partition: bytes, limit: int, seconds: float | None
    ) -> list[bytes]:
        """As ``take``, but wait for a first item. An empty list if none came within
        ``seconds``."""

    # --- looking ---------------------------------------------------------

    def peek(
        self, queue_id: str, partition: bytes, position: int, limit: int
    ) -> tuple[list[bytes], int]:
        """The items from a position on, and the position after them. Nothing is removed.

        A position whose item is gone means the first item that exists.
        """

    def peek_waiting(
        self, queue_id: str, partition: bytes, position: int, limit: int, seconds: float
    ) -> tuple[list[bytes], int]:
        """As ``peek``, but wait for a first item. No items if none came within ``seconds``."""

    def count(self, queue_id: str, partition: bytes) -> int:
        """How many items a partition has."""

    def get_usage(self, queue_id: str) -> QueueUsage:
        """How many partitions have items, and how many items there are."""

    # --- removing --------------------------------------------------------

    def clear(self, queue_id: str, partition: bytes) -> None:
        """Remove the items of one partition."""

    def clear_all(self, queue_id: str) -> None:
        """Remove all partitions."""


def fits(items: int, size: int) -> bool:
    """Whether a partition may have so many items, and so many bytes."""
    return items <= PARTITION_ITEMS_MAX and size <= PARTITION_BYTES_MAX


def check_ttl(ttl: float) -> None:
    """InvalidError for a time for which no partition is kept."""
    if not 0 < ttl <= TTL_MAX:
        raise InvalidError(f"partition_ttl must be above 0 and at most {TTL_MAX} seconds")


def check_items(items: Sequence[bytes], call: str) -> None:
    """RequestSizeError for an item that is too large."""
    largest = max(map(len, items), default=0)
    if largest > ITEM_MAX:
        raise RequestSizeError(
            f"{call} request is too large: an item of {largest:,} bytes, at most {ITEM_MAX:,}"
        )
    if not fits(len(items), sum(map(len, items))):
        raise RequestSizeError(
            f"{call} request is too large: {len(items):,} items of {sum(map(len, items)):,} bytes; "
            f"a partition holds {PARTITION_ITEMS_MAX:,} items and {PARTITION_BYTES_MAX >> 20} MiB"
        )


def too_many_partitions(queue_id: str, count: int) -> ResourceExhaustedError:
    """The error for one partition more than a Queue may have."""
    return ResourceExhaustedError(
        f"Queue {queue_id} has {count:,} partitions, and cannot have more"
    )
