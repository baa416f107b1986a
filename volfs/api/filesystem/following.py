"""Following symlinks inside a volume, as the kernel does on a mount."""

from __future__ import annotations

from collections.abc import Callable

from volfs.errors import InvalidPathError, NoEntryError
from volfs.model.entry import Entry, FileKind
from volfs.model.names import Path, show_path

LINKS_MAX = 40
FindEntry = Callable[[Path], Entry | None]
"""The entry at a path, without following symlinks."""


def follow_links(find: FindEntry, path: Path) -> Path:
    """The path of what a path leads to. The last name need not be there.

    NoEntryError for an absolute symlink, because a volume does not know where it is mounted.
    InvalidPathError for more than 40 symlinks. Errors of ``find``.
    """
    here: Path = ()
    waiting = list(reversed(path))
    links = 0
    while waiting:
        name = waiting.pop()
        if name == b"..":
            here = here[:-1]
            continue
        here = (*here, name)
        entry = find(here)
        if entry is None or entry.kind != FileKind.SYMLINK:
            continue
        links += 1
        if links > LINKS_MAX:
            raise InvalidPathError(f"{show_path(path)}: more than {LINKS_MAX} symlinks")
        waiting += reversed(_split_target(here, entry.inline))
        here = here[:-1]
    return here


def _split_target(link: Path, target: bytes) -> list[bytes]:
    if target.startswith(b"/"):
        raise NoEntryError(
            f"{show_path(link)}: a symlink to {show_path(target)}, which is outside of the volume"
        )
    return [name for name in target.split(b"/") if name not in (b"", b".")]
