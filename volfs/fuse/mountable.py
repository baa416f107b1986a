"""What any file system of ours is to those who mount it."""

from __future__ import annotations

import pyfuse3

from volfs.fuse.negotiation import NONE, Features


class Mountable(pyfuse3.Operations):
    """Handlers of one mount. ``describe`` says for the log what a request was about."""

    granted: Features = NONE
    """What INIT was agreed on; told before the second request."""

    def describe(self, handler: str, subject: object) -> str:
        raise NotImplementedError

    def list_open(self) -> list[bytes]:
        """The paths of files that are open."""
        raise NotImplementedError
