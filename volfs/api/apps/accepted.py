"""Names in programs for Modal that mean nothing on one machine, or that hold there anyway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Period:
    """For ``schedule=``, which is noted. Call the function from cron or a systemd timer
    instead."""

    years: int = 0
    months: int = 0
    weeks: int = 0
    days: int = 0
    hours: int = 0
    minutes: int = 0
    seconds: float = 0


@dataclass(frozen=True)
class Cron:
    """As ``Period``."""

    cron_string: str
    timezone: str = "UTC"


@contextmanager
def enable_output(show_progress: bool = True) -> Iterator[None]:
    """A block that changes nothing, because the output of functions is shown anyway."""
    yield
