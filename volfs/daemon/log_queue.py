"""A log that a thread of its own writes, so that no caller waits for a disk."""

from __future__ import annotations

import copy
import logging
import threading
from contextlib import suppress
from queue import SimpleQueue

RECORDS_MAX = 10_000
"""The most records that are kept while the log accepts none. Later the number of lost records is
logged."""
PATIENCE = 1.0
"""Seconds for which the end waits for the rest to be written."""
Item = logging.LogRecord | threading.Event


class QueuedHandler(logging.Handler):
    """A handler that passes formatted records to another handler, in a thread.

    Errors of the other handler are dropped, because there is no other place to report them.
    """

    def __init__(self, inner: logging.Handler) -> None:
        super().__init__()
        self._inner = inner
        self._queue: SimpleQueue[Item] = SimpleQueue()
        self._lost = 0
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        if self._queue.qsize() >= RECORDS_MAX:
            self._lost += 1
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            self._put(_make_note(lost))
        self._put(record)

    def flush(self) -> None:
        """Write all records. Waits for a short time only, because the disk may hang."""
        written = threading.Event()
        self._queue.put(written)
        written.wait(PATIENCE)

    def _put(self, record: logging.LogRecord) -> None:
        # The record is formatted here, because what it names may change, and a traceback keeps all
        # of its frames.
        line = copy.copy(record)
        line.msg, line.args = self.format(record), None
        line.exc_info = line.exc_text = line.stack_info = None
        self._queue.put(line)

    def _write_all(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            with suppress(Exception):
                # The handler's lock is not taken. Nobody else needs it, and the end must not wait
                # for it.
                self._inner.emit(item)


def _make_note(lost: int) -> logging.LogRecord:
    text = "%d records were lost: the log did not take them as quickly as they came"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (lost,), None)
