"""Credentials that nothing prints, and that are renewed before they expire."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from volfs.errors import VolfsError

EARLY = 300.0
"""Seconds before their end at which credentials are renewed, or half of their life if that is
shorter."""
AGAIN = 30.0
"""Seconds between two attempts to renew credentials that are still valid."""


@dataclass(frozen=True)
class Keys:
    """A pair of keys, of AWS or of a service with the same scheme. Only the first is shown."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    expires: float | None = None
    """Seconds since 1970. None for keys that do not expire."""


@dataclass(frozen=True)
class Token:
    """The proof that Google and Azure accept instead of a signature."""

    token: str = field(repr=False)
    expires: float | None = None


class Expiring(Protocol):
    @property
    def expires(self) -> float | None: ...


C = TypeVar("C", bound=Expiring)


class Renewed(Generic[C]):
    """Credentials from a source, which is asked again ``EARLY``. One thread asks, and the others
    wait."""

    def __init__(self, source: Callable[[], C], clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._current: C | None = None
        self._failed = float("-inf")
        self._asked = float("-inf")

    def __call__(self, fresh: bool = False) -> C:
        """The credentials that are valid now. With ``fresh``, the source is asked again."""
        current = self._current
        if current is not None and not fresh and not self._is_due(current):
            return current
        with self._lock:
            if self._current is not current and self._current is not None:
                return self._current
            return self._renew(current)

    @property
    def is_ready(self) -> bool:
        """Whether there are credentials that need no renewal now."""
        return self._current is not None and not self._is_due(self._current)

    def _renew(self, current: C | None) -> C:
        """Ask the source. If it fails, credentials that have not expired yet stay in use."""
        try:
            asked = self._clock()
            self._current = self._source()
            self._asked = asked
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
        early = min(EARLY, (current.expires - self._asked) / 2)
        return now >= current.expires - early and now - self._failed >= AGAIN
