"""What packs are to those who write them, wherever an engine keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from volfs.store.packs.codec import Packed
from volfs.store.packs.rows import IndexEntry


class PackSink(Protocol):
    """The packs that one upload, or one copy, writes. For one thread at a time.

    What was appended can be read from the engine's ``PackSource`` at once. What is not
    settled when the sink is released was never stored.
    """

    def append(self, packed: Packed) -> IndexEntry:
        """Write one record, and say where. After an error nothing has moved."""

    def sync(self) -> None:
        """Make everything that was appended durable. StoreError."""

    def list_ends(self) -> list[tuple[int, int]]:
        """The packs that were written to, and how far each is durable after ``sync``."""

    def prove(self, relied: Mapping[int, int]) -> None:
        """StoreReplacedError unless these packs are in the store, and those that somebody
        relies on, up to the ends that are given."""

    def settle(self) -> None:
        """The index has what was appended. More may be appended."""

    def release(self) -> None:
        """Let go of the packs. May be repeated."""
