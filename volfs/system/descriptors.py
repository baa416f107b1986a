"""Paths that mean a descriptor of this process, as shells make them: /dev/stdin, /dev/fd/3."""

from __future__ import annotations

import fcntl
import os
import re

_STANDARD = {b"/dev/stdin": 0, b"/dev/stdout": 1, b"/dev/stderr": 2}
_NUMBERED = re.compile(rb"(?:/dev/fd|/proc/(?:self|thread-self)/fd)/([0-9]{1,9})")


def find_descriptor(path: bytes) -> int | None:
    """The descriptor that a path means; None for all other paths."""
    path = os.path.normpath(path)
    numbered = _NUMBERED.fullmatch(path)
    return int(numbered[1]) if numbered else _STANDARD.get(path)


def can_read(descriptor: int) -> bool:
    """Whether a descriptor was opened for reading. A closed stdin was not
    (``open_standard_files``)."""
    return _access(descriptor) in (os.O_RDONLY, os.O_RDWR)


def can_write(descriptor: int) -> bool:
    """Whether a descriptor was opened for writing. A closed stdout was not
    (``open_standard_files``)."""
    return _access(descriptor) in (os.O_WRONLY, os.O_RDWR)


def _access(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
