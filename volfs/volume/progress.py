"""Progress that is counted by many threads."""

from __future__ import annotations

import threading

from volfs.model.progress import Progress, Report


class ProgressTally:
    """The sum of what threads have done, reported at each addition."""

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
