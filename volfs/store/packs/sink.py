"""The interface by which packs are written, wherever an engine keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from volfs.store.packs.codec import Packed
from volfs.store.packs.rows import IndexEntry


class PackSink(Protocol):
    """The packs that one upload, or one copy, writes. For one thread at a time.

    Appended records can be read from the engine's ``PackSource`` at once. Records that are not
    settled when the sink is released were never stored.
    """

    def append(self, packed: Packed) -> IndexEntry:
        """Write one record, and return its place. After an error nothing has moved."""

    def sync(self) -> None:
        """Make everything that was appended durable. StoreError."""

    def list_ends(self) -> list[tuple[int, int]]:
        """The packs that were written to, with the length up to which each is durable after
        ``sync``."""

    def prove(self, relied: Mapping[int, int]) -> None:
        """Raise StoreReplacedError unless the written packs are in the store, and the packs in
        ``relied`` are there up to the given ends."""

    def settle(self) -> None:
        """Confirm that the index has what was appended. More may be appended afterwards."""

    def release(self) -> None:
        """Let go of the packs. May be repeated."""
