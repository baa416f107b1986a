"""The rules of a Dict: entries by the bytes of their keys, which expire when nobody uses them.

``Dicts`` is fulfilled twice: over tables (``table_dicts``), and on a server (``redis_dicts``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from volfs.errors import DamagedObjectError, InvalidError, RequestSizeError
from volfs.services.lifetimes import IDLE_NS, SLACK_NS, TERM_MAX, Flag

VALUE_MAX = 100 << 20
UPDATE_MAX = 10_000


class Dicts(Protocol):
    """All Dicts of a store. Each call raises NotFoundError if the Dict is gone; StoreError."""

    # --- one key ---------------------------------------------------------

    def find(self, dict_id: str, key: bytes) -> bytes | None:
        """The value, or None. This is a use of the entry: it puts off its expiry."""

    def contains(self, dict_id: str, key: bytes) -> bool:
        """Whether ``find`` would find a value. This is not a use of the entry."""

    def put(
        self, dict_id: str, key: bytes, value: bytes, *, ttl: float | None, only_new: bool
    ) -> bool:
        """Put a value, with ``only_new`` only if the key has none. Whether it was written.

        ``ttl``, in seconds, replaces the expiry of unused entries. RequestSizeError; InvalidError.
        """

    def swap(self, dict_id: str, key: bytes, expected: bytes | None, value: bytes) -> bool:
        """Put a value if the present one is ``expected`` (None: if there is none). Whether it was
        written."""

    def pop(self, dict_id: str, key: bytes) -> bytes | None:
        """Remove an entry. Returns the value that it had, or None."""

    # --- many ------------------------------------------------------------

    def update(self, dict_id: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Put all or none. RequestSizeError for more than ``UPDATE_MAX`` entries, or too many
        bytes."""

    def count(self, dict_id: str) -> int:
        """Count the entries."""

    def iter_keys(self, dict_id: str) -> Iterator[bytes]:
        """All keys, in no order. An entry that is put or removed meanwhile may or may not be among
        them."""

    def iter_items(self, dict_id: str) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values, with the rules of ``iter_keys``. This is not a use of the
        entries."""

    def clear(self, dict_id: str) -> None:
        """Remove all entries at once."""


def find_term(ttl: float | None) -> tuple[int, Flag]:
    """How long an entry is kept. InvalidError."""
    if ttl is None:
        return IDLE_NS + SLACK_NS, Flag(0)
    if not 0 < ttl < float("inf"):
        raise InvalidError(f"a ttl of {ttl} seconds makes no sense")
    return min(int(ttl * 1e9), TERM_MAX), Flag.TTL


def check_size(size: int, call: str) -> None:
    """RequestSizeError for an entry that is too large."""
    if size > VALUE_MAX:
        raise RequestSizeError(
            f"{call} request is too large: {size:,} bytes, at most {VALUE_MAX:,} for one object"
        )


def check_update(items: Sequence[tuple[bytes, bytes]]) -> int:
    """The bytes of all values. RequestSizeError if one is too large, or there are too many."""
    check_size(max((len(value) for _, value in items), default=0), "Dict.update")
    if len(items) > UPDATE_MAX:
        raise RequestSizeError(
            f"Dict.update request is too large: {len(items):,} entries, at most {UPDATE_MAX:,} at "
            "once"
        )
    return sum(len(value) for _, value in items)


def lost_value(dict_id: str) -> DamagedObjectError:
    """The error for an entry whose value is not there."""
    return DamagedObjectError(f"Dict {dict_id}: the value of an entry is missing")
