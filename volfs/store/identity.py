"""Who makes something, and the id it gets."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import string

_BASE62 = string.digits + string.ascii_letters
_LENGTH = 22


def make_id(prefix: str) -> str:
    """A new id: the prefix, ``-``, and 22 random base62 characters."""
    return f"{prefix}-" + "".join(secrets.choice(_BASE62) for _ in range(_LENGTH))


def default_author() -> str:
    """``user@host``, as far as they can be known."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
