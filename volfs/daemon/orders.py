"""When a daemon that was told to end has to be killed. Pure: times are given."""

from __future__ import annotations

WITHIN = 7.0
"""Seconds from the first order until the daemon is given up."""
ONE_ORDER = 1.0
"""Seconds in which all signals count as one order. If every process of a container is sent one,
its init process passes its own on, too."""
HUNG, TOLD_TWICE = "hung at its end", "told twice to end"


class Orders:
    """The orders to end that one process has received."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._again = False

    @property
    def has_come(self) -> bool:
        return self._first is not None

    def receive(self, now: float) -> bool:
        """Take one order. Whether it is the first."""
        if self._first is None:
            self._first = now
            return True
        self._again = self._again or now - self._first >= ONE_ORDER
        return False

    def find_reason(self, now: float) -> str | None:
        """Why the process has to be ended at once; None if it need not be."""
        if self._again:
            return TOLD_TWICE
        return HUNG if self._first is not None and now - self._first >= WITHIN else None

    def seconds_left(self, now: float) -> float | None:
        """Seconds until there is a reason if nothing else happens; None before the first order."""
        return None if self._first is None else max(0.0, self._first + WITHIN - now)
