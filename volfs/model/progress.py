"""How far a long piece of work is, as the one callable is told that wants to know it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """Done so far, and in all."""

    files: int
    files_total: int
    bytes: int
    bytes_total: int


Report = Callable[[Progress], None]
"""Called from any thread, but never from two at once. Must be quick.

What it raises ends the work where it is, as a crash would: nothing is lost by that.
"""


def report_nothing(progress: Progress) -> None:
    """The report of those who do not want one."""


def report_bytes(report: Report, done: int, total: int) -> None:
    """Tell of work that is counted in bytes."""
    report(Progress(0, 0, done, total))
