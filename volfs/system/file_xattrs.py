"""All extended attributes of an open file."""

from __future__ import annotations

import errno
import os

_NONE = (errno.ENOTSUP, errno.ENODATA)


def read_xattrs_of(fd: int) -> dict[bytes, bytes]:
    """The attributes by name, without those that go meanwhile; none on a file system without any.
    OSError."""
    try:
        names = [os.fsencode(name) for name in os.listxattr(fd)]
    except OSError as error:
        if error.errno in _NONE:
            return {}
        raise
    return {name: value for name in names if (value := _read(fd, name)) is not None}


def _read(fd: int, name: bytes) -> bytes | None:
    try:
        return os.getxattr(fd, name)
    except OSError as error:
        if error.errno in _NONE:
            return None
        raise
