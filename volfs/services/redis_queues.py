"""Queues on a server: the rules of ``queues``, one script for each call.

A call that waits asks again after each wake. What it waits with holds no item: a process that dies
while it waits, or whose wait is cancelled, takes nothing with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from volfs.services import queues
from volfs.services.queues import QueueUsage, check_items, check_ttl, too_many_partitions
from volfs.services.redis_contents import RedisContents
from volfs.services.resources import QUEUE
from volfs.services.signal_wait import wait_for
from volfs.store.redis import queue_scripts
from volfs.store.redis.bells import Bell, ChangeStream
from volfs.store.redis.queue_scripts import queue_keys
from volfs.store.redis.table_server import Script, Word

_DONE, _CROWDED = 1, 2


class RedisQueues:
    """``queues.Queues`` on a server."""

    def __init__(self, contents: RedisContents) -> None:
        self._contents = contents

    # --- putting and taking ----------------------------------------------

    def put(
        self, queue_id: str, partition: bytes, items: Sequence[bytes], ttl: float, call: str
    ) -> bool:
        return self._put(queue_id, partition, items, ttl, call, None)

    def put_waiting(
        self,
        queue_id: str,
        partition: bytes,
        items: Sequence[bytes],
        ttl: float,
        call: str,
        seconds: float | None,
    ) -> bool:
        room = self._stream(queue_id, partition)

        def look() -> bool | None:
            return self._put(queue_id, partition, items, ttl, call, room) or None

        return wait_for(look, room, seconds) or False

    def _put(
        self,
        queue_id: str,
        partition: bytes,
        items: Sequence[bytes],
        ttl: float,
        call: str,
        room: ChangeStream | None,
    ) -> bool:
        check_items(items, call)
        check_ttl(ttl)
        limits = (
            max(1, int(ttl * 1000)),
            queues.PARTITION_ITEMS_MAX,
            queues.PARTITION_BYTES_MAX,
            queues.PARTITIONS_MAX,
        )
        words: list[Word] = [*limits, int(room is not None), *items]
        outcome, *rest = self._run(queue_scripts.PUT, queue_id, partition, *words)
        if outcome == _CROWDED:
            raise too_many_partitions(queue_id, rest[0])
        if room is not None and outcome != _DONE:
            room.seen = rest[0]
        return bool(outcome == _DONE)

    def take(self, queue_id: str, partition: bytes, limit: int) -> list[bytes]:
        most = min(limit, queues.PARTITION_ITEMS_MAX)
        taken: list[bytes] = self._run(queue_scripts.TAKE, queue_id, partition, most)
        return taken

    def take_waiting(
        self, queue_id: str, partition: bytes, limit: int, seconds: float | None
    ) -> list[bytes]:
        bell = Bell(self._contents.server, queue_keys(queue_id, partition).bell)
        return wait_for(lambda: self.take(queue_id, partition, limit) or None, bell, seconds) or []

    # --- looking ---------------------------------------------------------

    def peek(
        self, queue_id: str, partition: bytes, position: int, limit: int
    ) -> tuple[list[bytes], int]:
        return self._peek(queue_id, partition, position, limit, None)

    def peek_waiting(
        self, queue_id: str, partition: bytes, position: int, limit: int, seconds: float
    ) -> tuple[list[bytes], int]:
        arrivals = self._stream(queue_id, partition)

        def look() -> tuple[list[bytes], int] | None:
            found = self._peek(queue_id, partition, position, limit, arrivals)
            return found if found[0] else None

        return wait_for(look, arrivals, seconds) or ([], position)

    def _peek(
        self,
        queue_id: str,
        partition: bytes,
        position: int,
        limit: int,
        arrivals: ChangeStream | None,
    ) -> tuple[list[bytes], int]:
        words = (position, min(limit, queues.PARTITION_ITEMS_MAX), int(arrivals is not None))
        answer = self._run(queue_scripts.PEEK, queue_id, partition, *words)
        after, seen, *items = answer
        if arrivals is not None and not items:
            arrivals.seen = seen
        return items, after

    def count(self, queue_id: str, partition: bytes) -> int:
        return int(self._run(queue_scripts.COUNT, queue_id, partition)[0])

    def get_usage(self, queue_id: str) -> QueueUsage:
        return QueueUsage(*self._run(queue_scripts.USAGE, queue_id, b""))

    # --- removing --------------------------------------------------------

    def clear(self, queue_id: str, partition: bytes) -> None:
        self._run(queue_scripts.CLEAR, queue_id, partition)

    def clear_all(self, queue_id: str) -> None:
        self._run(queue_scripts.CLEAR_ALL, queue_id, b"")

    def _stream(self, queue_id: str, partition: bytes) -> ChangeStream:
        return ChangeStream(self._contents.server, queue_keys(queue_id, partition).changes)

    def _run(self, script: Script, queue_id: str, partition: bytes, *words: Word) -> Any:
        keys = queue_keys(queue_id, partition)
        return self._contents.run(script, QUEUE, queue_id, keys, (partition, *words))
