"""Listings of one version, with what fsspec is told of each file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from volfs.api.filesystem.file_facts import FsspecFacts, describe
from volfs.api.filesystem.following import follow_links
from volfs.api.filesystem.volume_access import OpenVersion
from volfs.api.filesystem.volume_urls import VolumePlace
from volfs.errors import FileSystemError, InvalidPathError, NoEntryError
from volfs.model.entry import Entry, FileKind
from volfs.model.names import Path, show_path
from volfs.model.tree import iter_entries


def find_facts(tree: OpenVersion, place: VolumePlace) -> FsspecFacts:
    """The facts of what a path names. NoEntryError."""
    where = follow_links(tree.find, place.path[:-1]) + place.path[-1:]
    entry = tree.find(where)
    if entry is None:
        raise NoEntryError(f"{show_path(place.path)}: no such file or directory")
    return describe(*place, entry, _find_target(tree, where, entry))


def list_directory(tree: OpenVersion, place: VolumePlace) -> Iterator[FsspecFacts]:
    """Yield the facts of each name in a directory; for a file, those of the file itself."""
    where = tree.follow(place.path)
    top = tree.get(place.path)
    if not top.is_directory:
        yield find_facts(tree, place)
        return
    for entry in iter_entries(tree.reader.get_tree, top.tree):
        yield _describe_listed(tree, place, where, entry)


def find_below(
    tree: OpenVersion, place: VolumePlace, maxdepth: int | None, withdirs: bool
) -> dict[str, FsspecFacts]:
    """The facts of the files below a directory by their names, and ``withdirs`` of directories and
    of the top. Symlinks to directories are not entered."""
    top = find_facts(tree, place)
    found = {} if top["type"] == "directory" and not withdirs else {top["name"]: top}
    waiting = [(place, 1)] if top["type"] == "directory" else []
    while waiting:
        here, depth = waiting.pop()
        for facts in list_directory(tree, here):
            is_directory = facts["type"] == "directory"
            if not is_directory or withdirs:
                found[facts["name"]] = facts
            if is_directory and (maxdepth is None or depth < maxdepth):
                name = facts["name"].rpartition("/")[2].encode("utf-8", "surrogateescape")
                waiting.append((VolumePlace(here.volume, (*here.path, name)), depth + 1))
    return found


def _describe_listed(tree: OpenVersion, place: VolumePlace, where: Path, raw: Entry) -> FsspecFacts:
    """The facts of a name in a directory. A symlink to a directory stays a link there, so that
    nobody walks in circles."""
    entry = tree.reader.resolve(tree.snapshot, raw)
    target = _find_target(tree, (*where, raw.name), entry)
    if target is not None and target.is_directory:
        target = None
    return describe(place.volume, (*place.path, raw.name), entry, target)


def _find_target(tree: OpenVersion, where: Path, entry: Entry) -> Entry | None:
    """What a symlink leads to. None for anything else, and for a link that leads nowhere."""
    if entry.kind != FileKind.SYMLINK:
        return None
    with suppress(FileSystemError, InvalidPathError):
        return tree.get(where)
    return None
