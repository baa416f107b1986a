"""Progress in versions, and in bytes of objects."""

from __future__ import annotations

import threading

from volfs.model.progress import Progress, Report


class VersionCount:
    """How many versions are done, of how many, and the bytes that were sent. Thread-safe.

    The total of bytes is unknown until the last version has been compared.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._done = 0
        self._expected = 0
        self._bytes = 0

    def expect(self, more: int) -> None:
        """So many versions are to come."""
        with self._lock:
            self._expected = self._done + more
            self._tell()

    def add_bytes(self, size: int) -> None:
        with self._lock:
            self._bytes += size
            self._tell()

    def add_version(self) -> None:
        with self._lock:
            self._done += 1
            self._tell()

    def _tell(self) -> None:
        self._report(Progress(self._done, self._expected, self._bytes, 0))
