"""All processes of a command in a container, including its descendants.

They are the processes in the command's mount namespace. A namespace of process ids would not do:
LMDB, which processes in containers open, tells readers apart by process id.
"""

from __future__ import annotations

import os
from pathlib import Path

from volfs.system.namespaces import kill_members


class Members:
    """The processes in the mount namespace that a process is in now. An instance holds the
    namespace until ``kill`` or ``close``."""

    def __init__(self, pid: int) -> None:
        """FileNotFoundError if the process has ended."""
        self.descriptor = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self.namespace = str(Path(f"/proc/self/fd/{self.descriptor}").readlink())

    def kill(self) -> None:
        """Send SIGKILL to all processes, return when there are none, and release the namespace."""
        if self.descriptor >= 0:
            kill_members(self.namespace)
            self.close()

    def close(self) -> None:
        """Release the namespace, which ends with its last process."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
