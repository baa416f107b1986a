"""A fork for what may take too much memory, or never end."""

from __future__ import annotations

import os
import resource
import signal
import traceback
from collections.abc import Callable

MEMORY = 256 << 20
"""Bytes that the work may take."""
SECONDS = 7200
"""A hang ends here, where the work sets no alarm of its own; nothing else takes so long."""


def in_fork(work: Callable[[], None], seed: str) -> None:
    """Run it with so much memory and no more; the test fails if that fails."""
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(SECONDS)
            _limit_memory()
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - told to the parent by the status
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"seed {seed}: status {status}; see what was printed"


def _limit_memory() -> None:
    # Not the address space: LMDB takes a large one, and no memory for it.
    with open("/proc/self/status") as file:
        data = next(line for line in file if line.startswith("VmData"))
    now = int(data.split()[1]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (now + MEMORY, now + MEMORY))
