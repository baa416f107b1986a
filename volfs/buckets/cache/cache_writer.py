"""The thread that writes to the disk cache, so that no reader waits for the disk."""

from __future__ import annotations

import threading
import time
from collections import deque

from volfs.buckets.cache.disk_cache import DiskCache
from volfs.buckets.cache.parts import ArrivedPart

BACKLOG = 128 << 20
"""The most bytes that wait to be written. Bytes that find no room here are not kept, because no
reader waits for the disk."""
STUCK = 5.0
"""If one part takes more seconds than this, the disk counts as hanging, and gets nothing until it
answers."""
_NOTES = 60.0
_IDLE = 30.0


class CacheWriter:
    """The writer of one disk cache. Thread-safe. Its thread begins with the first part, and ends
    with ``close``."""

    def __init__(self, disk: DiskCache) -> None:
        self._disk = disk
        self._turn = threading.Condition()
        self._waiting: deque[ArrivedPart] = deque()
        self._size = 0
        self._thread: threading.Thread | None = None
        self._began: float | None = None
        """When the thread began its present work."""
        self._noted = time.monotonic()
        self._is_closed = False

    @property
    def size(self) -> int:
        """How many bytes are waiting or being written."""
        return 0 if self._is_stuck() else self._size

    @property
    def is_usable(self) -> bool:
        """Whether parts that are offered now can be written."""
        return self._disk.is_usable and not self._is_stuck()

    def offer(self, part: ArrivedPart) -> bool:
        """Offer a part. True if it will be tried; ``is_leaving`` is set until it was."""
        if not self._disk.is_usable:
            return False
        with self._turn:
            if self._is_stuck():
                self._give_up()
                return False
            if self._is_closed or self._size + len(part.data) > BACKLOG:
                return False
            part.is_leaving = True
            self._waiting.append(part)
            self._size += len(part.data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cache", daemon=True)
                self._thread.start()
            self._turn.notify_all()
            return True

    def drain(self, seconds: float) -> bool:
        """Wait until everything that was waiting is written. Whether it is."""
        with self._turn:
            return self._turn.wait_for(lambda: not self._size, seconds)

    def close(self) -> None:
        """End the thread. Parts that are not written yet are dropped."""
        with self._turn:
            self._is_closed = True
            self._give_up()
            self._turn.notify_all()

    def _is_stuck(self) -> bool:
        began = self._began
        return began is not None and time.monotonic() - began > STUCK

    def _give_up(self) -> None:
        for part in self._waiting:
            part.is_leaving = False
            self._size -= len(part.data)
        self._waiting.clear()

    def _run(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._waiting or self._is_closed, _IDLE)
                if self._is_closed:
                    return
                part = self._waiting.popleft() if self._waiting else None
                self._began = time.monotonic()
            if part is not None:
                self._disk.write(part.content, part.start, part.data)
                part.is_leaving = False
            self._note_uses()
            with self._turn:
                self._began = None
                if part is not None:
                    self._size -= len(part.data)
                self._turn.notify_all()

    def _note_uses(self) -> None:
        if time.monotonic() - self._noted > _NOTES:
            self._noted = time.monotonic()
            self._disk.note_uses()
