"""Paths that begin at an open directory, its *anchor*.

They lead to the same files whatever becomes of the directory's name: it may be renamed,
replaced by another, or covered by a mount. The kernel resolves them as ``openat`` does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from volfs.model.text import is_unicode

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
DELETED = " (deleted)"
"""What the kernel puts behind the name of a file that has none any more."""
_OPEN = "/proc/self/fd"
_BEGINNING = re.compile(rf"{_OPEN}/\d+")


def anchored(descriptor: int) -> Path:
    """The path of what is open there; for this process alone, as long as it is open."""
    return Path(_OPEN, str(descriptor))


def find_place(descriptor: int) -> Path | None:
    """Where what is open there is by now; None if it was deleted."""
    place = anchored(descriptor).readlink()
    # A name may end so, too.
    return None if place.name.endswith(DELETED) and not place.exists() else place


@contextmanager
def spelled(directory: Path) -> Iterator[str]:
    """A path to the directory that is Unicode, as LMDB has to have it, for the block."""
    if is_unicode(str(directory)):
        yield str(directory)
        return
    descriptor = os.open(directory, DIRECTORY)
    try:
        yield str(anchored(descriptor))
    finally:
        os.close(descriptor)


def name_places(text: str) -> str:
    """A message with the real paths in the place of those that begin at descriptors."""
    return _BEGINNING.sub(_name_place, text)


def _name_place(found: re.Match[str]) -> str:
    try:
        return str(Path(found[0]).readlink())
    except OSError:
        return found[0]
