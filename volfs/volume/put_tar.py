"""Putting the members of a tar archive into a volume, as one version."""

from __future__ import annotations

import os
import secrets
from typing import BinaryIO, cast

from volfs.errors import EntryExistsError, InvalidPathError, LocalFileError, VolfsError
from volfs.model.entry import Entry, FileKind, replace
from volfs.model.names import Path, join_path, show_path
from volfs.model.progress import Report, report_nothing
from volfs.model.text import to_text
from volfs.store.clock import now_ns
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit, EditedDirectory
from volfs.volume.local_content import ByteStream, LocalContent
from volfs.volume.local_xattrs import keep_xattrs
from volfs.volume.progress import ProgressTally
from volfs.volume.put import PutResult
from volfs.volume.put_choice import PutRules
from volfs.volume.tar_members import Member, archive_errors, iter_members

_SPECIAL = (FileKind.FIFO, FileKind.CHARACTER, FileKind.BLOCK)


def put_tar(
    store: Store,
    volume: VolumeRecord,
    file: BinaryIO,
    path: Path,
    rules: PutRules,
    *,
    note: CommitNote | None = None,
    report: Report = report_nothing,
) -> PutResult:
    """Put what an archive has below ``path``. Of members of one name the last one counts.

    Fifos and devices are kept if ``rules`` preserve, else skipped. EntryExistsError for what is
    there already, unless ``rules`` force; LocalFileError; LimitError. On any error nothing is
    published.
    """
    with Edit(store, volume) as edit:
        put = _PutTar(edit, path, rules, ProgressTally(report, 0, 0))
        with archive_errors():
            for member in iter_members(file):
                put.add(member)
        put.finish()
        published = edit.commit(note or CommitNote(message=f"put {to_text(join_path(path))}"))
    tally = put.tally
    return PutResult(published, tally.files, tally.bytes, put.skipped)


class _PutTar:
    def __init__(self, edit: Edit, top: Path, rules: PutRules, tally: ProgressTally) -> None:
        self.edit = edit
        self.top = top
        self.rules = rules
        self.tally = tally
        self.content = LocalContent(edit, tally)
        self.skipped: list[str] = []
        self.made: set[Path] = set()
        """The paths of files that came in this archive."""
        self.directories: dict[Path, Member] = {}

    def add(self, member: Member) -> None:
        here = (*self.top, *member.path)
        if self.rules.excluded(member.path, member.kind == FileKind.DIRECTORY):
            return
        try:
            if member.kind == FileKind.DIRECTORY:
                self.add_directory(member, here)
            elif not member.path:
                raise InvalidPathError("no name for a file")
            elif member.kind in _SPECIAL and not self.rules.preserve:
                self.skipped.append(member.shown)
            else:
                self.add_file(member, here)
        except LocalFileError:
            raise
        except VolfsError as error:
            raise type(error)(f"{member.shown}: {error}") from error

    def add_directory(self, member: Member, here: Path) -> None:
        self.edit.make_directories(here)
        self.directories[here] = member

    def add_file(self, member: Member, here: Path) -> None:
        parent = self.edit.make_directories(here[:-1])
        there = parent.find(here[-1])
        if there is not None and here not in self.made and not self.rules.force:
            raise EntryExistsError("already exists")
        if member.link is not None:
            entry = self.link((*self.top, *member.link), member)
        else:
            entry = self.make(member, here)
        self.edit.put_in(parent, here, entry)
        self.made.add(here)

    def link(self, first: Path, member: Member) -> Entry:
        """The entry of one more name for what came before; without ``preserve`` a copy of it."""
        found = self.edit.open(first[:-1]).find(first[-1]) if first in self.made else None
        if not isinstance(found, Entry):
            raise LocalFileError(
                f"{member.shown}: a hard link to {show_path(first)}, which is not before it in the "
                "archive"
            )
        if not self.rules.preserve:
            return found
        if not found.group:
            group = secrets.randbits(62) + 1
            self.edit.records[group] = found
            found = Entry(first[-1], FileKind(found.kind), group=group)
            self.edit.put(first, found)
        return found

    def make(self, member: Member, here: Path) -> Entry:
        entry = self.describe(member, Entry(here[-1], member.kind, ctime_ns=now_ns()))
        if member.kind == FileKind.SYMLINK:
            return replace(entry, size=len(member.target), inline=member.target)
        if member.content is None:
            return replace(entry, rdev=member.rdev)
        self.edit.profile.check_file_size(member.size)
        stream = ByteStream(cast(BinaryIO, member.content), here, member.mode)
        read = self.content.read_stream(stream)
        if read.size != member.size:
            raise LocalFileError(f"{member.shown}: the archive is cut off")
        return self.describe(member, read)

    def describe(self, member: Member, entry: Entry) -> Entry:
        """The entry with the member's attributes: owner and extended attributes if they are
        preserved."""
        entry = replace(entry, mode=member.mode, mtime_ns=member.mtime_ns)
        if not self.rules.preserve:
            return replace(entry, uid=os.getuid(), gid=os.getgid())
        xattrs = keep_xattrs(member.xattrs, join_path(member.path))
        return replace(entry, uid=member.uid, gid=member.gid, xattrs=xattrs)

    def finish(self) -> None:
        """Give directories their attributes, last, because binding names changed their time. Those
        that were there keep their own, unless attributes are preserved."""
        for here, member in self.directories.items():
            directory: EditedDirectory = self.edit.open(here)
            if directory.made or self.rules.preserve:
                entry = self.describe(member, directory.attributes)
                directory.touched |= entry != directory.attributes
                directory.attributes = entry
