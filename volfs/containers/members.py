"""All processes of a command in a container, its children's children too.

They are those in the command's mount namespace. Not a namespace of process ids:
LMDB, which processes in containers open, tells readers apart by process id.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path

LOOK_AGAIN = 0.005


class Members:
    """The processes in the mount namespace that a process has now. Holds it until ``kill``."""

    def __init__(self, pid: int) -> None:
        """FileNotFoundError where the process has ended."""
        self._held = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._namespace = Path(f"/proc/self/fd/{self._held}").readlink()

    def kill(self) -> None:
        """SIGKILL to all; return when there are none, and let go of the namespace."""
        if self._held < 0:
            return
        while found := self._find():
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            select.select((), (), (), LOOK_AGAIN)
        self.close()

    def close(self) -> None:
        """Let go of the namespace, which goes with its last process."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def _find(self) -> list[int]:
        numbers = (entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return [int(number) for number in numbers if _read_namespace(number) == self._namespace]


def _read_namespace(number: str) -> Path | None:
    try:
        return Path(f"/proc/{number}/ns/mnt").readlink()
    except OSError:  # it has ended, or is another user's
        return None
