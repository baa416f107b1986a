"""A message when opening a store takes long, because its disk may hang."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from volfs.model.text import show_line

log = logging.getLogger(__name__)

WORD_AFTER = 3.0
"""Seconds before the message."""


@contextmanager
def speaking_of(url: str) -> Iterator[None]:
    """Say once that the store does not answer, if the block takes long."""
    timer = threading.Timer(WORD_AFTER, _say, (url,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say(url: str) -> None:
    words = f"waiting for the store {url}: its disk or file system does not answer"
    if log.hasHandlers():
        log.warning("%s", show_line(words))
    elif sys.stderr is not None:
        sys.stderr.write(show_line(f"volfs: {words}") + "\n")
        sys.stderr.flush()
