"""Paths that begin at an open directory, its *anchor*.

Such a path leads to the same files whatever becomes of the directory's name: the directory may be
renamed, replaced by another, or covered by a mount. The kernel resolves these paths as ``openat``
does.
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
"""The suffix that the kernel adds to the name of a file that was removed."""
_OPEN = "/proc/self/fd"
_BEGINNING = re.compile(rf"{_OPEN}/\d+")


def anchored(descriptor: int) -> Path:
    """A path to the open file of a descriptor. It is valid in this process alone, while the file
    is open."""
    return Path(_OPEN, str(descriptor))


def find_place(descriptor: int) -> Path | None:
    """The present place of an open file. None if the file was deleted."""
    place = anchored(descriptor).readlink()
    # A file that was not deleted may have a name that ends so, too.
    return None if place.name.endswith(DELETED) and not place.exists() else place


@contextmanager
def spelled(directory: Path) -> Iterator[str]:
    """A Unicode path to the directory, valid in the block: LMDB takes no other paths."""
    if is_unicode(str(directory)):
        yield str(directory)
        return
    descriptor = os.open(directory, DIRECTORY)
    try:
        yield str(anchored(descriptor))
    finally:
        os.close(descriptor)


def name_places(text: str) -> str:
    """A message with real paths in place of the paths that begin at descriptors."""
    return _BEGINNING.sub(_name_place, text)


def _name_place(found: re.Match[str]) -> str:
    try:
        return str(Path(found[0]).readlink())
    except OSError:
        return found[0]
