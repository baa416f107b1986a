"""The process that mounts a container's volumes. It can begin before they are known.

Loading the daemon's modules is most of the time that a container takes to start:
this module imports little, so that others can be loaded meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys
from types import TracebackType
from typing import Self


class Launcher:
    """``volfs.daemon.launcher``, loading. A context manager: where it was not used, it ends."""

    def __init__(self) -> None:
        self.lifeline = os.pidfd_open(os.getpid())
        """What its daemons look at to see this process end."""
        try:
            # -P: nothing in the current directory is a module of ours.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "volfs.daemon.launcher"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(self.lifeline,),
            )
        finally:
            os.close(self.lifeline)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process as process:
            if process.returncode is None:
                process.kill()

    def ask(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Its exit status, answer and complaints, once everything is mounted or has failed."""
        answer, complaints = self._process.communicate(request)
        return self._process.returncode, answer, complaints
