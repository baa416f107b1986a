"""What volfs says of a machine that is busy: its words must not decide a test."""

from __future__ import annotations

import re

_WAIT = re.compile(r"^volfs: waiting for .*\n", re.MULTILINE)


def drop_waits(error: str) -> str:
    """A standard error without the lines that only say that something takes its time."""
    return _WAIT.sub("", error)
