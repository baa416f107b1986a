"""Processes that die on purpose, and what they said before.

A child is forked, says what it is about to do and what it has done through a pipe,
and is killed: by itself at a fault point, or by its parent. The parent has no store
open while it forks.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import traceback
from collections.abc import Callable
from typing import Any

from volfs.errors import fault_points

Say = Callable[..., None]
FAILED = "failed"


def is_long() -> bool:
    """Whether the long forms are wanted: ``./dev prove --long``."""
    return os.environ.get("VOLFS_PROVE") == "long"


def count_rounds(short: int, long: int) -> int:
    """How many rounds are wanted; ``VOLFS_ROUNDS`` says another number."""
    return int(os.environ.get("VOLFS_ROUNDS", long if is_long() else short))


def first_seed() -> int:
    """Of a series of rounds; each has the next one. ``VOLFS_SEED`` names another."""
    return int(os.environ.get("VOLFS_SEED", "1"))


class Child:
    """A process that runs ``work(say)``; ``fault`` as in ``volfs/errors/fault_points.py``."""

    def __init__(self, work: Callable[[Say], None], fault: str = "") -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reader)
            _run(work, writer, fault)
        os.close(writer)
        self._reader = reader
        self._rest = b""
        self.said: list[tuple[Any, ...]] = []
        self.status: int | None = None

    def listen(self, messages: int) -> bool:
        """Wait until it has said so much; False if it has ended before."""
        while len(self.said) < messages:
            if not self._read():
                return False
        return True

    def end(self) -> list[tuple[Any, ...]]:
        """Wait until it has ended; all that it said. An exception in it fails the test."""
        while self._read():
            pass
        os.close(self._reader)
        _, self.status = os.waitpid(self.pid, 0)
        failed = [text for what, *text in self.said if what == FAILED]
        assert not failed, failed[0][0]
        return self.said

    def kill(self, after: float = 0.0) -> list[tuple[Any, ...]]:
        """Kill it now, or so many seconds after now; all that it said."""
        select.select([], [], [], after)
        os.kill(self.pid, signal.SIGKILL)
        return self.end()

    @property
    def was_killed(self) -> bool:
        return self.status is not None and os.WIFSIGNALED(self.status)

    def _read(self) -> bool:
        data = os.read(self._reader, 1 << 20)
        self._rest += data
        while len(self._rest) >= 4:
            size = 4 + int.from_bytes(self._rest[:4], "big")
            if len(self._rest) < size:
                break
            self.said.append(pickle.loads(self._rest[4:size]))
            self._rest = self._rest[size:]
        return bool(data)


def _run(work: Callable[[Say], None], writer: int, fault: str) -> None:
    def say(*message: object) -> None:
        data = pickle.dumps(message)
        view = memoryview(len(data).to_bytes(4, "big") + data)
        while view:
            view = view[os.write(writer, view) :]

    try:
        fault_points.arm(fault)
        work(say)
    except BaseException:  # noqa: BLE001 - the parent judges
        say(FAILED, traceback.format_exc())
    finally:
        os._exit(0)
