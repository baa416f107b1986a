"""What packs are to those who read them, wherever an engine keeps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from volfs.model.objects import Buffer, Oid
from volfs.store.packs.rows import IndexEntry


class PackSource(Protocol):
    """Bytes of packs, by pack id. Thread-safe. Errors name the pack; callers add the object."""

    when_replaced: Callable[[int], None]
    """Called when a pack has become another one than was read before."""

    def read_at(self, pack: int, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. MissingObjectError: no pack; DamagedObjectError: too short."""

    def read_ready(self, pack: int, offset: int, length: int) -> Buffer | None:
        """As ``read_at``, or None where that would wait for more than a moment."""

    def prefetch(self, pack: int, offset: int, length: int) -> None:
        """Begin to read, so that ``read_at`` need not wait. Returns at once."""

    def expect_scattered(self, pack: int) -> None:
        """Bytes are read here and there: nothing is to be read ahead."""

    def get_size(self, pack: int) -> int:
        """MissingObjectError where there is no such pack."""

    def forget(self, pack: int) -> None:
        """It is no more."""


class Places(Protocol):
    """Where objects are. Thread-safe."""

    def find_entry(self, oid: Oid) -> IndexEntry | None: ...

    def contains(self, oid: Oid) -> bool: ...
