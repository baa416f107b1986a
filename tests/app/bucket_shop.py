"""Functions that work in a bucket. What they name at their places, the tests mount."""

from __future__ import annotations

import os
import signal
from pathlib import Path

_kept: list[object] = []


def read(path: str) -> str:
    return Path(path).read_text()


def write(path: str, text: str) -> int:
    """The process, so that a warm container is known by it."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return os.getpid()


def keep_open(path: str, text: str) -> None:
    """Written, flushed, and never closed."""
    file = Path(path).open("w")  # noqa: SIM115 - that is what is tried
    file.write(text)
    file.flush()
    _kept.append(file)


def die_once(path: str) -> str:
    """It finds what it wrote before it died."""
    if Path(path).exists():
        return Path(path).read_text()
    Path(path).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
