"""What persistent maps lack."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from immutables import Map

Key = TypeVar("Key")
Row = TypeVar("Row")


def without(known: Map[Key, Row], keys: Iterable[Key]) -> Map[Key, Row]:
    """The map without these keys. Those that it does not have are ignored."""
    left = known.mutate()
    for key in keys:
        left.pop(key, None)
    return left.finish()
