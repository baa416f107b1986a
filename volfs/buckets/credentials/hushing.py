"""Silence of libraries that handle credentials.

At their debug levels these libraries log requests and answers with tokens and keys in them. What
a thread makes them say inside of ``hushed`` goes to no log. What they say on behalf of others is
not touched.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

LIBRARIES = ("botocore", "google", "urllib3", "requests")
_hushed: ContextVar[bool] = ContextVar("hushed", default=False)


class _Hush(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not _hushed.get()


_HUSH = _Hush()
_known = 0


@contextmanager
def hushed() -> Iterator[None]:
    """Keep the libraries' loggers silent in this thread, until the end of the block."""
    _reach_loggers()
    token = _hushed.set(True)
    try:
        yield
    finally:
        _hushed.reset(token)


def _reach_loggers() -> None:
    """Give the filter to each logger of the libraries: a logger does not ask the filters of those
    above it."""
    global _known
    loggers = logging.root.manager.loggerDict
    if len(loggers) == _known:
        return
    _known = len(loggers)
    for name in list(loggers):
        if name.partition(".")[0] in LIBRARIES:
            logging.getLogger(name).addFilter(_HUSH)
