"""The interface of every file system of ours, for the code that mounts it."""

from __future__ import annotations

import pyfuse3

from volfs.fuse.negotiation import NONE, Features


class Mountable(pyfuse3.Operations):
    """The handlers of one mount. ``describe`` says for the log what a request was about."""

    read_ahead_kib = 4096
    """How much the kernel reads ahead of a sequential reader."""
    granted: Features = NONE
    """The features that INIT agreed on. They are set before the second request."""

    def describe(self, handler: str, subject: object) -> str:
        raise NotImplementedError

    def list_open(self) -> list[bytes]:
        """The paths of open files."""
        raise NotImplementedError

    def is_busy(self) -> bool:
        """Whether other threads of this process work for the mount at this moment."""
        return False
