"""All processes of a command in a container, its children's children too.

They are those in the command's mount namespace. Not a namespace of process ids:
LMDB, which processes in containers open, tells readers apart by process id.
"""

from __future__ import annotations

import os
from pathlib import Path

from volfs.system.namespaces import kill_members


class Members:
    """The processes in the mount namespace that a process has now. Holds it until ``kill``."""

    def __init__(self, pid: int) -> None:
        """FileNotFoundError where the process has ended."""
        self.held = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self.namespace = str(Path(f"/proc/self/fd/{self.held}").readlink())

    def kill(self) -> None:
        """SIGKILL to all; return when there are none, and let go of the namespace."""
        if self.held >= 0:
            kill_members(self.namespace)
            self.close()

    def close(self) -> None:
        """Let go of the namespace, which goes with its last process."""
        if self.held >= 0:
            os.close(self.held)
            self.held = -1
