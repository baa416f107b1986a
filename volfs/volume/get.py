"""Writing a version of a volume, or a part of it, into a local directory, and never outside of it.

Below the destination every name is reached through a descriptor of its directory, and no symlink
is followed, so neither a planted symlink nor a race leads elsewhere. Each file is written under a
temporary name and renamed. A directory gets its mode and times once all below it is done, when the
last piece of work releases it.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from volfs.errors import DataError, LocalFileError, VolfsError
from volfs.model.content import find_slices
from volfs.model.entry import Entry, FileKind
from volfs.model.manifest import Snapshot
from volfs.model.names import Path, show_path
from volfs.model.objects import NO_OID
from volfs.model.progress import Report, report_nothing
from volfs.model.text import show
from volfs.model.tree import iter_entries
from volfs.store.contract.objects import Objects
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.system.directories import (
    LocalDirectory,
    OpenTree,
    find_status,
    identify,
)
from volfs.system.files import NEW_FILE, spare_name, write_all
from volfs.volume.local_listing import local_errors
from volfs.volume.local_tree import SPECIAL, KeptAttributes
from volfs.volume.output import find_output, find_special, output_exists, write_special
from volfs.volume.progress import ProgressTally
from volfs.volume.store_places import StorePlaces
from volfs.volume.version_reader import READ_SIZE, Reader

BATCH_FILES = 32
BATCH_BYTES = 8 << 20
BATCHES_AHEAD = 16
TEMPORARY = b".volfs-get-"
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass
class GetResult:
    """What was written. ``skipped`` are fifos, sockets and devices, ``damaged`` the files that
    failed."""

    output: bytes
    files: int = 0
    bytes: int = 0
    skipped: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def get_to_local(
    store: Store,
    volume: VolumeRecord,
    snapshot: Snapshot,
    path: Path,
    destination: str | os.PathLike[str],
    *,
    force: bool = False,
    preserve: bool = False,
    report: Report = report_nothing,
) -> GetResult:
    """Write a file or a directory of a version to ``destination``, or into it if it is a
    directory.

    With ``preserve`` owners, whole modes, extended attributes, hard links, fifos and devices are
    kept, as far as the system allows; ``notes`` has what it did not allow.

    The contents of the root go into the destination itself. With ``force`` existing files are
    replaced; files that the volume does not have stay. A file is written into a device or fifo
    that the user names. NoEntryError; OutputExistsError; LocalFileError, which says how many files
    were written; DataError once everything readable was written.
    """
    objects = store.objects_of(volume.id)
    reader = Reader(objects.load_object)
    entry = reader.get_path(snapshot, path)
    output = find_output(os.fsencode(destination), path, entry)
    places = StorePlaces(store)
    places.check_path(output)
    special = find_special(output, force=force)
    size = entry.content_bytes if entry.is_directory else entry.size
    tally = ProgressTally(report, entry.files if entry.is_directory else 1, size)
    result = GetResult(output)
    if special is not None:
        write_special(objects, reader, entry, output, special)
        tally.add(1, entry.size)
    else:
        kept = KeptAttributes() if preserve else None
        with _Get(objects, reader, snapshot, tally, result, force, places, kept) as get:
            try:
                get.run(entry, path, output)
            except VolfsError as error:
                raise _with_count(error, tally) from error
        result.notes = [f"{show_path(where)}: {why}" for where, why in kept.notes] if kept else []
    result.files, result.bytes = tally.files, tally.bytes
    if result.damaged:
        shown = "; ".join(result.damaged[:3])
        raise DataError(f"{len(result.damaged)} files cannot be read ({shown}), all others were")
    return result


def _with_count(error: VolfsError, tally: ProgressTally) -> VolfsError:
    return type(error)(f"{error}; {tally.files} files were written") if tally.files else error


# --- directories ------------------------------------------------------------


class _Target:
    """A directory of the destination. It is finished when the last user releases it."""

    def __init__(
        self,
        directory: LocalDirectory,
        entry: Entry | None,
        parent: _Target | None,
        kept: KeptAttributes | None = None,
        path: Path = (),
    ) -> None:
        self.directory = directory
        self.entry = entry
        self.kept = kept
        self.path = path
        self.parent = parent.retain() if parent else None
        self.users = 1
        self.lock = threading.Lock()

    @property
    def shown(self) -> bytes:
        return self.directory.path

    def retain(self) -> _Target:
        with self.lock:
            self.users += 1
        return self

    def release(self) -> None:
        target: _Target | None = self
        while target is not None:
            with target.lock:
                target.users -= 1
                if target.users:
                    return
            target.finish()
            target = target.parent

    def finish(self) -> None:
        if self.entry is None:
            return
        with local_errors(self.shown), self.directory.opened() as fd:
            if self.kept is not None:
                self.kept.set_attributes(self.path, self.entry, fd)
                return
            os.fchmod(fd, self.entry.mode & 0o1777)
            os.utime(fd, ns=(self.entry.mtime_ns, self.entry.mtime_ns))


class _Get:
    """One get. It walks the version, makes directories, and hands files to a pool."""

    def __init__(
        self,
        objects: Objects,
        reader: Reader,
        snapshot: Snapshot,
        tally: ProgressTally,
        result: GetResult,
        force: bool,
        places: StorePlaces,
        kept: KeptAttributes | None,
    ) -> None:
        self.places = places
        self.kept = kept
        self.first: dict[int, tuple[_Target, bytes]] = {}
        """The place of each hard-linked file, if hard links are kept."""
        self.links: list[tuple[Path, Entry, bytes, _Target]] = []
        """Names that become hard links, once the files are there."""
        self.objects = objects
        self.reader = reader
        self.snapshot = snapshot
        self.tally = tally
        self.result = result
        self.force = force
        self.pool = ThreadPoolExecutor(max(2, os.cpu_count() or 1))
        self.waiting: deque[Future[None]] = deque()
        self.trees = ExitStack()

    def __enter__(self) -> _Get:
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.trees.close()

    def run(self, entry: Entry, path: Path, output: bytes) -> None:
        above, name = os.path.split(output.rstrip(b"/") or b"/")
        with local_errors(output):
            os.makedirs(above or b".", exist_ok=True)
            top = self.open_top(entry, path, output, above or b".", name)
        if entry.is_directory:
            self.walk(entry, path, top)
        else:
            self.submit([(path, entry, name)], top)
            top.release()
        self.settle(0)
        self.write_links()

    def write_links(self) -> None:
        for path, entry, name, target in self.links:
            first, first_name = self.first[entry.group]
            with local_errors(os.path.join(target.shown, name)), target.directory.opened() as at:
                self.check_free(name, at, target)
                with spare_name(at, TEMPORARY) as temporary, first.directory.opened() as source:
                    try:
                        link = {"src_dir_fd": source, "dst_dir_fd": at, "follow_symlinks": False}
                        os.link(first_name, temporary, **link)  # type: ignore[arg-type]
                    except FileNotFoundError:
                        self.result.damaged.append(f"{show_path(path)}: as the first of its names")
                        continue
                    os.rename(temporary, name, src_dir_fd=at, dst_dir_fd=at)
            self.tally.add(files=1)
        for *_, target in self.links:
            target.release()
        for target, _ in self.first.values():
            target.release()

    def is_later_link(self, entry: Entry, path: Path, name: bytes, target: _Target) -> bool:
        """Whether a name is to become a hard link of a file that is written. Called in the thread
        that walks."""
        if self.kept is None or not entry.group:
            return False
        if entry.group in self.first:
            self.links.append((path, entry, name, target.retain()))
            return True
        self.first[entry.group] = target.retain(), name
        return False

    def open_top(
        self, entry: Entry, path: Path, output: bytes, above: bytes, name: bytes
    ) -> _Target:
        """The directory to write into. A path that the user named may be a symlink."""
        if not path:
            os.makedirs(output, exist_ok=True)
            return self.open_named(output)
        parent = self.open_named(above)
        if not entry.is_directory:
            return parent
        top = self.make_directory(entry, name, parent, path)
        parent.release()
        return top

    def open_named(self, path: bytes) -> _Target:
        return _Target(self.trees.enter_context(OpenTree(path)).top, None, None)

    def make_directory(self, entry: Entry, name: bytes, parent: _Target, path: Path) -> _Target:
        """Make a directory of the destination, and never one to which a symlink leads."""
        made = parent.directory.below(name)
        with local_errors(made.path):
            with parent.directory.opened() as at:
                try:
                    os.mkdir(name, 0o700, dir_fd=at)
                except FileExistsError:
                    if not self.force:
                        raise output_exists(made.path) from None
            with made.opened() as fd:
                self.places.check_outside(made.path, identify(os.fstat(fd)))
        return _Target(made, entry, parent, self.kept, path)

    def walk(self, entry: Entry, path: Path, top: _Target) -> None:
        """Write a directory, depth first, so that few directories are open at once. No
        recursion."""
        stack = [(self.fill(entry, path, top), top)]
        while stack:
            children, target = stack[-1]
            below = next(children, None)
            if below is None:
                stack.pop()
                target.release()
                continue
            child, here = below
            made = self.make_directory(child, child.name, target, here)
            stack.append((self.fill(child, here, made), made))

    def fill(self, entry: Entry, path: Path, target: _Target) -> Iterator[tuple[Entry, Path]]:
        """Submit the files of a directory to the pool, then yield its directories."""
        batch: list[tuple[Path, Entry, bytes]] = []
        below: list[tuple[Entry, Path]] = []
        size = 0
        for raw in iter_entries(self.reader.get_tree, entry.tree):
            child = self.reader.resolve(self.snapshot, raw)
            here = (*path, child.name)
            if child.is_directory:
                below.append((child, here))
                continue
            if self.is_later_link(child, here, child.name, target):
                continue
            batch.append((here, child, child.name))
            size += child.size
            if len(batch) >= BATCH_FILES or size >= BATCH_BYTES:
                self.submit(batch, target)
                batch, size = [], 0
        self.submit(batch, target)
        yield from below

    # --- files -----------------------------------------------------------

    def submit(self, batch: list[tuple[Path, Entry, bytes]], target: _Target) -> None:
        if batch:
            self.waiting.append(self.pool.submit(self.write_batch, batch, target.retain()))
        self.settle(BATCHES_AHEAD)

    def settle(self, left: int) -> None:
        while len(self.waiting) > left:
            self.waiting.popleft().result()

    def write_batch(self, batch: list[tuple[Path, Entry, bytes]], target: _Target) -> None:
        try:
            with local_errors(target.shown), target.directory.opened() as at:
                for path, entry, name in batch:
                    try:
                        self.write(path, entry, name, at, target)
                    except DataError as error:
                        self.result.damaged.append(f"{show_path(path)}: {error}")
        finally:
            target.release()

    def write(self, path: Path, entry: Entry, name: bytes, at: int, target: _Target) -> None:
        if entry.kind not in (FileKind.FILE, FileKind.SYMLINK) and not self.keeps(entry):
            self.result.skipped.append(show_path(path))
            return
        with local_errors(os.path.join(target.shown, name)):
            self.check_free(name, at, target)
            self.write_at(entry, name, at, path)
        self.tally.add(files=1)

    def keeps(self, entry: Entry) -> bool:
        return self.kept is not None and entry.kind != FileKind.SOCKET

    def write_at(self, entry: Entry, name: bytes, at: int, path: Path) -> None:
        """Make a file or symlink under a temporary name, then let it replace what is there."""
        with spare_name(at, TEMPORARY) as temporary:
            if entry.kind == FileKind.SYMLINK:
                self.write_symlink(entry, temporary, at)
            elif entry.kind == FileKind.FILE:
                self.write_file(entry, temporary, at, path)
            else:
                os.mknod(temporary, SPECIAL[FileKind(entry.kind)] | 0o600, entry.rdev, dir_fd=at)
            if self.kept is not None and entry.kind != FileKind.FILE:
                self.kept.set_attributes_of_name(path, entry, at, temporary)
            os.rename(temporary, name, src_dir_fd=at, dst_dir_fd=at)

    def check_free(self, name: bytes, at: int, target: _Target) -> None:
        """Check that a name is free, or may be replaced. Only files and symlinks are replaced,
        because others may read from or write to anything else."""
        status = find_status(name, at)
        if status is None:
            return
        shown = os.path.join(target.shown, name)
        if not self.force:
            raise output_exists(shown)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            kind = _KINDS[stat.S_IFMT(status.st_mode)]
            raise LocalFileError(f"{show(shown)}: {kind} is there, which is not replaced")

    def write_symlink(self, entry: Entry, name: bytes, at: int) -> None:
        os.symlink(entry.inline, name, dir_fd=at)
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(name, ns=times, dir_fd=at, follow_symlinks=False)

    def write_file(self, entry: Entry, name: bytes, at: int, path: Path) -> None:
        fd = os.open(name, NEW_FILE, 0o600, dir_fd=at)
        try:
            self.write_bytes(entry, fd)
            if self.kept is not None:
                self.kept.set_attributes(path, entry, fd)
                return
            # Set-user-id and the like are dropped, because the volume's users are not this
            # machine's.
            os.fchmod(fd, stat.S_IMODE(entry.mode) & 0o777)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def write_bytes(self, entry: Entry, fd: int) -> None:
        """Write the content of a file. Holes stay holes."""
        if entry.inline:
            write_all(fd, entry.inline, 0)
            self.tally.add(size=entry.size)
            return
        os.ftruncate(fd, entry.size)
        for start in range(0, entry.size, READ_SIZE):
            offset, length = start, min(READ_SIZE, entry.size - start)
            for oid, skip, part in find_slices(self.reader.get_list, entry, start, length):
                if oid != NO_OID:
                    write_all(fd, self.objects.read_object(oid, skip, part), offset)
                offset += part
            self.tally.add(size=length)
