"""Credentials that nothing prints, and their renewal before they expire."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from volfs.errors import VolfsError

EARLY = 300.0
"""Seconds before their end at which credentials are renewed."""
AGAIN = 30.0
"""Seconds between two attempts, as long as the old ones are valid."""


@dataclass(frozen=True)
class Keys:
    """A pair of keys, of AWS or of whoever does as AWS does. Only the first is shown."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    expires: float | None = None
    """Seconds since 1970; None for keys that stay."""


@dataclass(frozen=True)
class Token:
    """What is shown to Google or Azure instead of a signature."""

    token: str = field(repr=False)
    expires: float | None = None


class Expiring(Protocol):
    @property
    def expires(self) -> float | None: ...


C = TypeVar("C", bound=Expiring)


class Renewed(Generic[C]):
    """Credentials from a source that is asked again ``EARLY``; one thread asks, others wait."""

    def __init__(self, source: Callable[[], C], clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._current: C | None = None
        self._failed = float("-inf")

    def __call__(self, fresh: bool = False) -> C:
        """What is valid now. ``fresh``: asked of the source anew."""
        current = self._current
        if current is not None and not fresh and not self._is_due(current):
            return current
        with self._lock:
            if self._current is not current and self._current is not None:
                return self._current
            return self._renew(current)

    def _renew(self, current: C | None) -> C:
        """Credentials that are not yet over outlive a source that has no answer just now."""
        try:
            self._current = self._source()
        except VolfsError:
            self._failed = self._clock()
            if current is None or current.expires is None or current.expires <= self._clock():
                raise
            return current
        return self._current

    def _is_due(self, current: C) -> bool:
        if current.expires is None:
            return False
        now = self._clock()
        if now >= current.expires:
            return True
        return now >= current.expires - EARLY and now - self._failed >= AGAIN
