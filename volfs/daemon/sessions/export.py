"""Writing an overlay to an ordinary directory, whatever has happened to the version below it.

    DIR/files/        files that are whole, under their paths in the mount
    DIR/incomplete/   files of which bytes are missing, sparse, never among the whole ones
    DIR/deleted       paths that were removed, each ended by a NUL
    DIR/changes.json  all changes, with attributes and missing ranges

Layout: docs/cli.md, "overlays export".
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from volfs.daemon.sessions.locate import holding_dead, located
from volfs.errors import LocalFileError
from volfs.model.entry import Entry, FileKind
from volfs.model.names import Path, join_path, parse_path, show_path
from volfs.model.objects import Buffer
from volfs.model.progress import Report, report_nothing
from volfs.sessions.facts import CATALOG, SCRATCH
from volfs.sessions.info import SessionInfo
from volfs.store.clock import now_ns
from volfs.store.contract.store import Store
from volfs.vfs.left_content import LeftBytes, Sources, join_ranges
from volfs.vfs.left_tree import Left, LeftDirectory, LeftFile, LeftTree, read_left_tree
from volfs.vfs.salvage import Salvaged, ScratchReader, salvage_catalog
from volfs.volume.local_tree import LocalTree, is_end, open_output
from volfs.volume.progress import ProgressTally
from volfs.volume.store_places import StorePlaces
from volfs.volume.version_reader import Reader

FILES, INCOMPLETE, DELETED, CHANGES = b"files", b"incomplete", b"deleted", b"changes.json"
STRAYS = b"unplaced"
"""The directory, beside the others, for files to which no path leads any more."""


class Incomplete(NamedTuple):
    """A file that could not be written whole. ``missing`` are ranges of its bytes."""

    path: bytes
    missing: list[tuple[int, int]]
    problem: str


@dataclass
class Exported:
    """What was written, and what could not be written."""

    directory: bytes
    files: int = 0
    directories: int = 0
    bytes: int = 0
    deleted: int = 0
    incomplete: list[Incomplete] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What is lost without a trace of its bytes."""
    notes: list[str] = field(default_factory=list)
    """Attributes that the system did not accept."""

    @property
    def is_whole(self) -> bool:
        return not (self.incomplete or self.problems)


def export_overlay(
    store: Store,
    name: str,
    output: str,
    *,
    force: bool = False,
    report: Report = report_nothing,
) -> Exported:
    """Write what a dead mount left, damaged or not, to a directory. The errors of
    ``export_session``.

    NotFoundError; MountError if the mount lives.
    """
    with located(store, name) as found, holding_dead(found.session):
        return export_session(store, found.session, output, force=force, report=report)


def export_session(
    store: Store,
    session: SessionInfo,
    output: str | os.PathLike[str],
    *,
    force: bool = False,
    report: Report = report_nothing,
) -> Exported:
    """Write what a session's overlay holds. The caller has the session's lock.

    DamagedObjectError if nothing of the overlay can be read; LocalFileError; StoreError. The
    result names everything that is not whole.
    """
    target = os.path.abspath(os.fsencode(output))
    StorePlaces(store).check_path(target)
    _check_apart(target, os.fsencode(session.path))
    salvaged = salvage_catalog(session.path / CATALOG)
    objects = store.objects_of(session.volume_id)
    reader = Reader(objects.load_object)
    tree = read_left_tree(salvaged, reader, parse_path(session.sub_path))
    with ExitStack() as stack:
        local = open_output(target, force=force)
        stack.callback(local.close)
        scratch = ScratchReader(session.path / SCRATCH, salvaged.recorded.sums)
        stack.callback(scratch.close)
        sources = Sources(scratch, reader, objects)
        export = _Export(session, salvaged, tree, local, sources, _count(tree, report))
        return export.run()


def _check_apart(target: bytes, session: bytes) -> None:
    """LocalFileError if the target is among the sessions of a store. The session may be of another
    store, which must not change either."""
    real, mounts = os.path.realpath(target), os.path.dirname(os.path.realpath(session))
    if os.path.commonpath((real, mounts)) == mounts:
        raise LocalFileError(f"{os.fsdecode(target)}: among the sessions of a store")


def _count(tree: LeftTree, report: Report) -> ProgressTally:
    found = {left.what for left in (*tree.items, *tree.strays) if isinstance(left.what, LeftFile)}
    return ProgressTally(report, len(found), sum(file.extents.size for file in found))


class _Export:
    """One export. It walks the tree once, then finishes the directories from below."""

    def __init__(
        self,
        session: SessionInfo,
        salvaged: Salvaged,
        tree: LeftTree,
        local: LocalTree,
        sources: Sources,
        tally: ProgressTally,
    ) -> None:
        self.session = session
        self.salvaged = salvaged
        self.tree = tree
        self.local = local
        self.sources = sources
        self.tally = tally
        self.result = Exported(local.shown)
        self.changes: list[dict[str, Any]] = []
        self.deleted: list[bytes] = []
        self.first: dict[LeftFile, Path] = {}
        """The first place of each file. Its other names are hard links to it."""
        self.made: dict[Path, Entry] = {}

    def run(self) -> Exported:
        self.make_tops()
        for left in self.tree.items:
            self.add(FILES, left)
        for left in self.tree.strays:
            self.add(STRAYS, left)
        for path, entry in reversed(self.made.items()):
            self.local.finish_directory(path, entry)
        self.tell_problems()
        self.write_lists()
        self.local.sync()
        return self.result

    def make_tops(self) -> None:
        self.local.make_directory((FILES,))
        self.made[FILES,] = self.tree.root
        if self.tree.strays:
            self.local.make_directory((STRAYS,))

    def add(self, top: bytes, left: Left) -> None:
        if left.what is None:
            self.deleted.append(join_path(left.path))
            self.changes.append(self.describe(left, "deleted", top))
        elif isinstance(left.what, LeftDirectory):
            self.local.make_directory((top, *left.path))
            self.made[top, *left.path] = left.what.entry
            if left.is_bound or left.what.is_changed:
                self.result.directories += 1
                change = "new" if left.is_bound else "attributes"
                self.changes.append(self.describe(left, change, top))
        else:
            self.add_file(top, left, left.what)

    # --- files -----------------------------------------------------------

    def add_file(self, top: bytes, left: Left, file: LeftFile) -> None:
        change = "new" if left.is_bound else "modified" if file.is_written else "attributes"
        record = self.describe(left, change, top)
        self.changes.append(record)
        first = self.first.get(file)
        if first is not None:
            at = self.place(first[0], (top, *left.path))
            if self.link(first, at):
                to = _as_text(b"/".join(first))
                record |= {"link_to": to, "in": _as_text(b"/".join(at))}
                return
        missing: list[LeftBytes] = []
        at = (top, *left.path)
        try:
            at = self.write(at, file, missing)
        except LocalFileError as error:
            if is_end(error):
                raise
            self.result.problems.append(str(error))
            return
        self.first.setdefault(file, at)
        record["in"] = _as_text(b"/".join(at))
        self.tally.add(files=1)
        if missing:
            self.add_incomplete(left.path, missing, record)
        else:
            self.result.files += 1

    def link(self, first: Path, at: Path) -> bool:
        """Give a file one more name. False if the system has no hard links."""
        try:
            self.local.link(first, at)
        except LocalFileError as error:
            if is_end(error):
                raise
            self.result.notes.append(f"{error}: a copy instead of a hard link")
            return False
        return True

    def write(self, at: Path, file: LeftFile, missing: list[LeftBytes]) -> Path:
        """Write a file, and return its place, which is another one if bytes are missing."""
        if file.entry.kind != FileKind.FILE:
            self.local.make_other(at, file.entry)
            return at

        def choose() -> Path:
            return self.place(INCOMPLETE, at) if missing else at

        parts = self.read(file, missing)
        return self.local.write_file(at, file.entry, file.extents.size, parts, choose)

    def place(self, top: bytes, at: Path) -> Path:
        """The place of a file: among the whole ones, or among those with missing bytes."""
        if top != INCOMPLETE:
            return at
        place = (INCOMPLETE, *(at[1:] if at[0] == FILES else at))
        for depth in range(1, len(place)):
            self.local.make_directory(place[:depth])
        return place

    def read(self, file: LeftFile, missing: list[LeftBytes]) -> Iterator[tuple[int, Buffer]]:
        for part in self.sources.iter_bytes(file):
            if part.data is None:
                missing.append(part)
            else:
                yield part.start, part.data
                self.result.bytes += part.end - part.start
            self.tally.add(size=part.end - part.start)

    def add_incomplete(self, path: Path, missing: list[LeftBytes], record: dict[str, Any]) -> None:
        ranges, problem = join_ranges(missing), missing[0].problem
        self.result.incomplete.append(Incomplete(join_path(path), ranges, problem))
        record |= {"missing": [list(each) for each in ranges], "problem": problem}

    # --- lists -----------------------------------------------------------

    def describe(self, left: Left, change: str, top: bytes) -> dict[str, Any]:
        record: dict[str, Any] = _path_facts(join_path(left.path)) | {"change": change}
        if top == STRAYS:
            record["path"] = None
        if left.what is not None:
            record |= _describe_entry(left.what.entry)
        if isinstance(left.what, LeftFile) and left.what.entry.kind == FileKind.FILE:
            record["size"] = left.what.extents.size
        return record

    def tell_problems(self) -> None:
        result = self.result
        result.deleted = len(self.deleted)
        result.problems += self.salvaged.problems
        result.problems += [f"{show_path(path)}: {why}" for path, why in self.tree.unknown]
        result.notes += [f"{show_path(path)}: {why}" for path, why in self.local.notes]
        for file in self.tree.partly_named & self.first.keys():
            name = show_path(self.first[file][1:])
            result.notes.append(f"{name}: it had more names, which are not known")

    def write_lists(self) -> None:
        base = self.salvaged.recorded.base
        owner = os.geteuid(), os.getegid()
        entry = Entry(b"", FileKind.FILE, 0o600, *owner, mtime_ns=now_ns())
        facts: dict[str, Any] = {
            "overlay": self.session.name,
            "volume": self.session.volume,
            "volume_id": self.session.volume_id,
            "sub_path": self.session.sub_path,
            "version": base.version if base else None,
            "manifest": base.manifest.hex() if base else None,
            "changes": self.changes,
            "problems": self.result.problems,
            "notes": self.result.notes,
        }
        text = json.dumps(facts, indent=1).encode() + b"\n"
        listed = b"".join(path + b"\0" for path in self.deleted)
        for name, data in ((CHANGES, text), (DELETED, listed)):
            self.local.write_file((name,), entry, len(data), [(0, data)])


def _describe_entry(entry: Entry) -> dict[str, Any]:
    record: dict[str, Any] = {
        "kind": FileKind(entry.kind).name.lower(),
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "mtime_ns": entry.mtime_ns,
        "xattrs": {_as_text(name): value.hex() for name, value in entry.xattrs},
    }
    if entry.kind == FileKind.SYMLINK:
        record["target"] = _as_text(entry.inline)
    if entry.rdev:
        record["device"] = [os.major(entry.rdev), os.minor(entry.rdev)]
    return record


def _path_facts(path: bytes) -> dict[str, Any]:
    """A path as text, with its bytes if it cannot be printed."""
    text = _as_text(path)
    return {"path": text} | ({} if text.isprintable() else {"path_hex": path.hex()})


def _as_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
