"""A message when opening a store takes long, because its disk or its service may hang."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from volfs.model.text import show_line
from volfs.store.address import Address

log = logging.getLogger(__name__)

WORD_AFTER = 3.0
"""Seconds before the message."""


@contextmanager
def speaking_of(address: Address) -> Iterator[None]:
    """Say once that the store does not answer, if the block takes long."""
    timer = threading.Timer(WORD_AFTER, _say, (address,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say(address: Address) -> None:
    what = "service" if address.local_path is None else "disk or file system"
    words = f"waiting for the store {address.text}: its {what} does not answer yet"
    if log.hasHandlers():
        log.warning("%s", show_line(words))
    elif sys.stderr is not None:
        sys.stderr.write(show_line(f"volfs: {words}") + "\n")
        sys.stderr.flush()
