"""What a put of a directory changes: the files that differ, and the names that are to go.

A file is taken for unchanged if its size, its mode and its modification time are those of the
volume's file, as rsync does; a symlink if its target is the same, too.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from volfs.errors import NotADirectoryInVolumeError
from volfs.model.entry import Entry, FileKind, to_storable_time
from volfs.model.names import Path
from volfs.volume.edit import Edit, EditedDirectory
from volfs.volume.local_listing import Local, read_link
from volfs.volume.local_xattrs import read_local_xattrs

Excluded = Callable[[Path, bool], bool]
"""Whether a path below the directory that is put is left out; the flag says whether it is a
directory."""


def exclude_nothing(path: Path, is_directory: bool) -> bool:
    return False


@dataclass(frozen=True)
class PutRules:
    """How a put treats what is there already.

    ``force`` replaces files that differ. ``delete`` removes what the local directory does not
    have, and lets a file replace a directory. ``preserve`` keeps owners, extended attributes and
    hard links. ``dry_run`` only finds out what would change.
    """

    force: bool = False
    delete: bool = False
    preserve: bool = False
    dry_run: bool = False
    compares: bool = False
    """Whether files that are unchanged are left as they are."""
    excluded: Excluded = exclude_nothing

    @property
    def excludes(self) -> bool:
        """Whether anything is excluded."""
        return self.excluded is not exclude_nothing


@dataclass(frozen=True)
class PutAction:
    """What a put does to one path, with the letter of ``volfs diff``."""

    letter: str
    path: Path


def choose_changed(edit: Edit, found: Sequence[Local], rules: PutRules) -> list[Local]:
    """The files that differ from the volume's, and all directories. LocalFileError."""
    if not rules.compares:
        return list(found)
    groups = list_groups(found) if rules.preserve else {}
    whole = {key for key, items in groups.items() if _is_same_group(edit, items)}
    return [
        item
        for item in found
        if item.is_directory or not _is_unchanged(edit, item, rules, groups, whole)
    ]


def list_groups(found: Sequence[Local]) -> dict[tuple[int, int], list[Local]]:
    """The hard links among the files, by device and number, each with two names or more."""
    groups: dict[tuple[int, int], list[Local]] = {}
    for item in found:
        if item.is_file and item.status.st_nlink > 1:
            groups.setdefault(identify_file(item), []).append(item)
    return {key: items for key, items in groups.items() if len(items) > 1}


def identify_file(item: Local) -> tuple[int, int]:
    return item.status.st_dev, item.status.st_ino


def _is_same_group(edit: Edit, items: Sequence[Local]) -> bool:
    """Whether the names of a hard link are hard links of one file in the volume, too."""
    entries = [_find(edit, item.path) for item in items]
    groups = {entry.group if entry else 0 for entry in entries}
    return len(groups) == 1 and 0 not in groups


def _is_unchanged(
    edit: Edit,
    item: Local,
    rules: PutRules,
    groups: dict[tuple[int, int], list[Local]],
    whole: set[tuple[int, int]],
) -> bool:
    entry = _find(edit, item.path)
    if entry is None or entry.is_directory:
        return False
    key = identify_file(item)
    if rules.preserve and (key in whole) != bool(entry.group):
        return False
    if key in groups and key not in whole:
        return False
    return _is_same_file(entry, item) and (not rules.preserve or has_attributes(entry, item))


def _find(edit: Edit, path: Path) -> Entry | None:
    """The entry at a path; None also below a file."""
    try:
        return edit.find(path)
    except NotADirectoryInVolumeError:
        return None


def _is_same_file(entry: Entry, item: Local) -> bool:
    status = item.status
    if entry.mtime_ns != to_storable_time(status.st_mtime_ns) or entry.size != status.st_size:
        return False
    if entry.kind == FileKind.SYMLINK:
        return stat.S_ISLNK(status.st_mode) and entry.inline == read_link(item)
    is_file = entry.kind == FileKind.FILE and item.is_file
    return is_file and entry.mode == stat.S_IMODE(status.st_mode)


def has_attributes(entry: Entry, item: Local) -> bool:
    """Whether an entry has the owner and the extended attributes of a local file."""
    owner = (item.status.st_uid, item.status.st_gid)
    return (entry.uid, entry.gid) == owner and entry.xattrs == read_local_xattrs(item)


# --- what goes ----------------------------------------------------------------


def iter_unlisted(
    directory: EditedDirectory, path: Path, listed: set[bytes], rules: PutRules, depth: int
) -> Iterator[PutAction]:
    """Remove the names of a directory that are not ``listed``, and yield what was removed.

    What is excluded stays, with the directories above it. ``depth`` is the number of names in the
    path of the directory that is put into.
    """
    for name, what in list(directory.iter_items()):
        if name not in listed:
            yield from _remove(directory, (*path, name), what, rules, depth)


def _remove(
    parent: EditedDirectory,
    path: Path,
    what: Entry | EditedDirectory,
    rules: PutRules,
    depth: int,
) -> Iterator[PutAction]:
    """Remove a name with all below it, from the leaves up, except what is excluded."""
    if not rules.excludes:
        parent.bind(path[-1], None)
        yield PutAction("D", path)
        return
    opened: list[tuple[EditedDirectory, Path, Entry | EditedDirectory]] = [(parent, path, what)]
    for _, here, one in opened:
        if isinstance(one, EditedDirectory) and not rules.excluded(here[depth:], True):
            opened += [(one, (*here, name), below) for name, below in one.iter_items()]
    for above, here, one in reversed(opened):
        is_directory = isinstance(one, EditedDirectory)
        if rules.excluded(here[depth:], is_directory) or (is_directory and _is_filled(one)):
            continue
        above.bind(here[-1], None)
        yield PutAction("D", here)


def _is_filled(what: Entry | EditedDirectory) -> bool:
    return isinstance(what, EditedDirectory) and next(what.iter_items(), None) is not None


def sort_actions(actions: Sequence[PutAction]) -> list[PutAction]:
    return sorted(actions, key=lambda action: action.path)
