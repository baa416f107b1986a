"""What persistent maps lack."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from immutables import Map

Key = TypeVar("Key")
Value = TypeVar("Value")


def without(known: Map[Key, Value], keys: Iterable[Key]) -> Map[Key, Value]:
    """The map without these keys. Those that it does not have are ignored."""
    left = known.mutate()
    for key in keys:
        left.pop(key, None)
    return left.finish()
