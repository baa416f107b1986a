"""Counting operations that failed, and how long they took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns

from volfs.errors import VolfsError
from volfs.model.activity import Timing


@contextmanager
def counting_errors(timing: Timing, began: int) -> Iterator[None]:
    """Count the block in ``timing`` if it fails. ``began`` is when it began, by the counter."""
    try:
        yield
    except VolfsError:
        timing.add(perf_counter_ns() - began, failed=True)
        raise
