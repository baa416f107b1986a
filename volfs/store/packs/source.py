"""The interface by which packs are read, wherever an engine keeps them."""

from __future__ import annotations

from typing import Protocol

from volfs.model.objects import Buffer, Oid
from volfs.store.packs.rows import IndexEntry


class PackSource(Protocol):
    """Bytes of packs, by pack id. Thread-safe. Errors name the pack; callers add the object."""

    def read_at(self, pack: int, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. MissingObjectError if there is no such pack;
        DamagedObjectError if it is too short."""

    def read_ready(self, pack: int, offset: int, length: int) -> Buffer | None:
        """As ``read_at``, but None if the read would wait for more than a moment."""

    def prefetch(self, pack: int, offset: int, length: int) -> None:
        """Begin to read these bytes, so that ``read_at`` need not wait. Returns at once."""

    def expect_scattered(self, pack: int) -> None:
        """Expect scattered reads of a pack: nothing is to be read ahead."""

    def get_size(self, pack: int) -> int:
        """The present length of a pack in bytes. MissingObjectError if there is no such pack."""

    def forget(self, pack: int) -> None:
        """Let go of a pack that no longer exists."""


class Places(Protocol):
    """Where objects are stored. Thread-safe."""

    def find_entry(self, oid: Oid) -> IndexEntry | None: ...

    def contains(self, oid: Oid) -> bool: ...
