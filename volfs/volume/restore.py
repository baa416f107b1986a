"""Restore: a new version that is equal to an old one, or has some of its paths."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from volfs.errors import HeadMovedError
from volfs.model.delta import make_replacement
from volfs.model.entry import Entry, replace
from volfs.model.links import find_record
from volfs.model.manifest import MESSAGE_MAX, Snapshot
from volfs.model.names import Path, join_path
from volfs.model.text import cut_stored, to_text
from volfs.model.tree import find_entry
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.commit import CommitNote, Published
from volfs.volume.edit import Edit, EditedDirectory
from volfs.volume.leases import held_version


def restore_version(
    store: Store,
    volume: VolumeRecord,
    old: Head,
    paths: Sequence[Path] = (),
    *,
    message: str = "",
) -> Published:
    """Publish what ``old`` has: everything, or each of ``paths`` with all below.

    Without ``paths`` the new version is equal to ``old``, and what others publish at the same time
    is in the history before it. With ``paths`` all other paths stay as they are. NoEntryError for
    a path that ``old`` lacks; NotFoundError if ``old`` was expired meanwhile; the errors of
    ``commit_delta``.
    """
    note = CommitNote(message or _describe(old, paths))
    with held_version(store, volume, lambda: old):
        if paths and () not in paths:
            return _restore_paths(store, volume, old, paths, note)
        while True:
            try:
                return _restore_all(store, volume, old, note)
            except HeadMovedError:
                continue


def _describe(old: Head, paths: Sequence[Path]) -> str:
    names = [to_text(join_path(path)) for path in paths[:5]]
    said = ", ".join(names) + (", …" if len(paths) > 5 else "")
    message = f"restore version {old.version}" + (f": {said}" if said else "")
    return cut_stored(message, MESSAGE_MAX)


def _restore_paths(
    store: Store, volume: VolumeRecord, old: Head, paths: Sequence[Path], note: CommitNote
) -> Published:
    with Edit(store, volume) as edit:
        _Restoring(edit, old).restore(paths)
        return edit.commit(note)


def _restore_all(store: Store, volume: VolumeRecord, old: Head, note: CommitNote) -> Published:
    with Edit(store, volume) as edit:
        edit.shares.add(old.version)
        wanted = edit.reader.load_manifest(old.manifest).snapshot
        delta = make_replacement(edit.reader.get_tree, edit.base, wanted)
        return edit.commit_delta(delta, note, exact=True)


class _Restoring:
    """The restoring of paths of an old version into an edit."""

    def __init__(self, edit: Edit, old: Head) -> None:
        edit.shares.add(old.version)
        self.edit = edit
        self.get = edit.reader.get_tree
        self.wanted: Snapshot = edit.reader.load_manifest(old.manifest).snapshot
        self.groups: dict[int, int] = {}
        """For each link group of the old version, its number in the new version."""

    def restore(self, paths: Sequence[Path]) -> None:
        for path in paths:
            self.restore_path(path)

    def restore_path(self, path: Path) -> None:
        entry = self.edit.reader.get_path(self.wanted, path)
        if self.is_same(path, entry):
            return
        parent = self.make_parents(path[:-1])
        self.edit.bind(parent, path, self.open(entry) if entry.is_directory else self.link(entry))

    def is_same(self, path: Path, entry: Entry) -> bool:
        """Whether the base has exactly this entry at this path already."""
        now = self.edit.reader.find_path(self.edit.base, path)
        return now == entry and (
            self.edit.base.links == self.wanted.links or not (entry.is_directory or entry.group)
        )

    def make_parents(self, path: Path) -> EditedDirectory:
        """The directory at a path. Missing directories are made as the old version has them."""
        here = self.edit.root
        for depth, name in enumerate(path, start=1):
            if here.find(name) is None:
                attributes = self.edit.reader.get_path(self.wanted, path[:depth])
                self.edit.bind(here, path[:depth], self.edit.new_directory(attributes))
            here = self.edit.open(path[:depth])
        return here

    def open(self, entry: Entry) -> EditedDirectory:
        """A directory with all below. It is only looked into if there are hard links."""
        directory = EditedDirectory(self.get, entry, made=True)
        if self.wanted.links:
            directory.replace_links(self.link)
        return directory

    def link(self, entry: Entry) -> Entry:
        """A hard link with its group, or with a new one if the group is another file by now."""
        if not entry.group:
            return entry
        group = self.groups.get(entry.group)
        if group is None:
            group = self.groups[entry.group] = self.choose_group(entry.group)
        return Entry(entry.name, entry.kind, group=group)

    def choose_group(self, group: int) -> int:
        record = find_record(self.get, self.wanted.links, group)
        now = find_entry(self.get, self.edit.base.links, record.name)
        if now is not None and replace(now, links=record.links) != record:
            group = secrets.randbits(62) + 1
        self.edit.records[group] = record
        return group
