"""Counting how long something took that has failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns

from volfs.errors import VolfsError
from volfs.model.activity import Timing


@contextmanager
def counting_errors(timing: Timing, began: int) -> Iterator[None]:
    """Count the block if it fails."""
    try:
        yield
    except VolfsError:
        timing.add(perf_counter_ns() - began, failed=True)
        raise
