"""How far a long piece of work is: counted by many threads, told to one callable."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """Done so far, and in all."""

    files: int
    files_total: int
    bytes: int
    bytes_total: int


Report = Callable[[Progress], None]
"""Called from any thread, but never from two at once. Must be quick and not raise."""


def report_nothing(progress: Progress) -> None:
    """The report of those who do not want one."""


class ProgressTally:
    """Adds up what threads have done and reports it."""

    def __init__(self, report: Report, files: int, size: int) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._total = (files, size)
        self.files = 0
        self.bytes = 0

    def add(self, files: int = 0, size: int = 0) -> None:
        with self._lock:
            self.files += files
            self.bytes += size
            files_total, bytes_total = self._total
            self._report(Progress(self.files, files_total, self.bytes, bytes_total))
