"""Ids of new things, and the author that is written down for them."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import string

from blake3 import blake3

from volfs.model.manifest import AUTHOR_MAX
from volfs.model.text import cut_stored

_BASE62 = string.digits + string.ascii_letters
_LENGTH = 22


def make_id(prefix: str) -> str:
    """A new id: the prefix, ``-``, and 22 random base62 characters."""
    return f"{prefix}-" + "".join(secrets.choice(_BASE62) for _ in range(_LENGTH))


def derive_id(prefix: str, purpose: str, origin: str) -> str:
    """The id of a thing that exists once for each ``origin``, the id of another thing."""
    digest = blake3(f"{purpose} {origin}".encode()).digest()
    return f"{prefix}-" + "".join(_BASE62[byte % len(_BASE62)] for byte in digest[:_LENGTH])


def default_author() -> str:
    """``user@host``, as far as they can be known; both may be any bytes."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return cut_stored(f"{user}@{find_host_name()}", AUTHOR_MAX)


def find_host_name() -> str:
    """The name that the system of this host has; it may be any bytes, and other hosts may have
    it."""
    return socket.gethostname()
