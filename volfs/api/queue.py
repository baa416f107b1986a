"""``volfs.Queue``: a first-in-first-out queue between all processes, in Modal's shape."""

from __future__ import annotations

import queue
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar, Self

from volfs.api.client import Client
from volfs.api.deprecated import warn_of
from volfs.api.resource import Ephemeral, NamedHandle, NamedResources, ResourceInfo
from volfs.api.twins import blocking, blocking_iterator, opening_class
from volfs.containers.pickling import dump, load
from volfs.errors import InvalidError
from volfs.model.text import to_stored
from volfs.services.queues import KEY_MAX, TTL_MAX, Queues, QueueUsage
from volfs.services.resources import QUEUE

_SCANNED = 64
"""The number of items that an iteration reads at a time."""


class QueueInfo(ResourceInfo):
    """Name, creation time and creator of a Queue."""


class Queue(NamedHandle):
    """A handle on partitions of items. Each partition is first in, first out.

    Items survive the end of processes, but not a restart of the machine. A partition expires 24
    hours after the last put. ``partition`` is 1 to 64 bytes of text, or None.
    """

    _kind = QUEUE
    _info = QueueInfo
    objects: ClassVar[NamedResources[Queue]]

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise RuntimeError(
            "Queue() is not allowed. "
            "Please use `Queue.from_name(...)` or `Queue.ephemeral()` instead."
        )

    @classmethod
    def persist(cls, name: str, *, environment_name: str | None = None) -> Self:
        """``from_name`` with ``create_if_missing``. Warns with DeprecationError."""
        warn_of("Queue.persist", "Queue.from_name(name, create_if_missing=True)")
        return cls.from_name(name, environment_name=environment_name, create_if_missing=True)

    persisted = persist

    @opening_class
    @classmethod
    def ephemeral(
        cls, client: Client | None = None, environment_name: str | None = None
    ) -> Ephemeral[Self]:
        """A Queue without a name, for a ``with`` or ``async with`` block."""
        return Ephemeral(cls, environment_name, client)

    @staticmethod
    def validate_partition_key(partition: str | None) -> bytes:
        """The bytes of a partition's key. InvalidError."""
        if partition is None:
            return b""
        key = to_stored(partition).encode()
        if not 0 < len(key) <= KEY_MAX:
            raise InvalidError("Queue partition key must be between 1 and 64 characters.")
        return key

    # --- putting ---------------------------------------------------------

    @blocking
    def put(
        self,
        v: Any,
        block: bool = True,
        timeout: float | None = None,
        *,
        partition: str | None = None,
        partition_ttl: int = TTL_MAX,
    ) -> None:
        """Append an item. Waits while the partition is full; queue.Full after ``timeout`` seconds.

        RequestSizeError beyond 1 MiB; SerializationError.
        """
        self._put("Queue.put", [v], block, timeout, partition, partition_ttl)

    @blocking
    def put_many(
        self,
        vs: list[Any],
        block: bool = True,
        timeout: float | None = None,
        *,
        partition: str | None = None,
        partition_ttl: int = TTL_MAX,
    ) -> None:
        """Append items next to each other, all or none. Otherwise as ``put``."""
        if vs:
            self._put("Queue.put_many", vs, block, timeout, partition, partition_ttl)

    def _put(
        self,
        call: str,
        values: list[Any],
        block: bool,
        timeout: float | None,
        partition: str | None,
        ttl: float,
    ) -> None:
        key = self.validate_partition_key(partition)
        if not block and timeout is not None:
            warnings.warn("`timeout` argument is ignored for non-blocking put.", stacklevel=4)
        items = [dump(value, f"an item of {self._said()}") for value in values]
        wait = timeout if block else 0.0
        rows, mine = self._rows(), self.object_id
        if not rows.put_waiting(mine, key, items, ttl, call, wait):
            raise queue.Full(f"{self._said()} is full")

    # --- taking ----------------------------------------------------------

    @blocking
    def get(
        self, block: bool = True, timeout: float | None = None, *, partition: str | None = None
    ) -> Any | None:
        """Remove and return the first item.

        Waits for an item; queue.Empty after ``timeout`` seconds. With ``block=False``, None if
        there is no item. DeserializationError.
        """
        values = self._get(1, block, timeout, partition)
        return values[0] if values else None

    @blocking
    def get_many(
        self,
        n_values: int,
        block: bool = True,
        timeout: float | None = None,
        *,
        partition: str | None = None,
    ) -> list[Any]:
        """Remove and return up to ``n_values`` items, as soon as there is one. Otherwise as
        ``get``."""
        if n_values < 0:
            raise InvalidError("n_values cannot be negative")
        return self._get(n_values, block, timeout, partition) if n_values else []

    def _get(
        self, limit: int, block: bool, timeout: float | None, partition: str | None
    ) -> list[Any]:
        key = self.validate_partition_key(partition)
        if not block and timeout is not None:
            warnings.warn("Timeout is ignored for non-blocking get.", stacklevel=4)
        rows, mine = self._rows(), self.object_id
        items = rows.take_waiting(mine, key, limit, timeout if block else 0.0)
        if block and not items:
            raise queue.Empty
        return [self._load(item) for item in items]

    # --- looking ---------------------------------------------------------

    @blocking
    def len(self, *, partition: str | None = None, total: bool = False) -> int:
        """The number of items of a partition, or of all with ``total``. InvalidError for both."""
        if partition and total:
            raise InvalidError("Partition must be null when requesting total length.")
        key, rows = self.validate_partition_key(partition), self._rows()
        return self._usage().items if total else rows.count(self.object_id, key)

    def _usage(self) -> QueueUsage:
        return self._rows().get_usage(self.object_id)

    @blocking_iterator
    def iterate(
        self,
        *,
        partition: str | None = None,
        item_poll_timeout: float = 0.0,
        timeout: float | None = None,
    ) -> Iterator[Any]:
        """The items of a partition in their order. No item is removed.

        The iteration ends when no further item has come for ``item_poll_timeout`` seconds.
        ``timeout`` has the same meaning.
        """
        key, rows = self.validate_partition_key(partition), self._rows()
        wait = item_poll_timeout if timeout is None else timeout
        items, position = rows.peek_waiting(self.object_id, key, 0, _SCANNED, wait)
        while items:
            yield from map(self._load, items)
            items, position = rows.peek_waiting(self.object_id, key, position, _SCANNED, wait)

    def __len__(self) -> int:
        return self.len()

    def __bool__(self) -> bool:
        # A handle is always true, so that a truth test does not count the items.
        return True

    # --- removing --------------------------------------------------------

    @blocking
    def clear(self, *, partition: str | None = None, all: bool = False) -> None:
        """Remove the items of a partition, or with ``all`` of all partitions. InvalidError for
        both."""
        if partition and all:
            raise InvalidError("Partition must be null when requesting to clear all.")
        key, rows = self.validate_partition_key(partition), self._rows()
        if all:
            rows.clear_all(self.object_id)
        else:
            rows.clear(self.object_id, key)

    # --- bytes -----------------------------------------------------------

    def _rows(self) -> Queues:
        self._resource()
        return self.client.shared().queues()

    def _load(self, item: bytes) -> Any:
        return load(item, f"an item of {self._said()}")

    def _said(self) -> str:
        return f"Queue '{self.name}'" if self.name else f"ephemeral Queue {self.object_id}"


Queue.objects = NamedResources(Queue)
