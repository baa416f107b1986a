"""Writing a version, or a part of it, as a tar archive with all attributes."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from volfs.model.entry import Entry, FileKind
from volfs.model.manifest import Snapshot
from volfs.model.names import Path, join_path, show_path
from volfs.model.objects import Buffer
from volfs.model.progress import Report, report_nothing
from volfs.model.tree import iter_entries
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.output import write_whole
from volfs.volume.progress import ProgressTally
from volfs.volume.tar_members import XATTR
from volfs.volume.version_reader import Reader, iter_content_bytes

_TYPES = {
    FileKind.FILE: tarfile.REGTYPE,
    FileKind.DIRECTORY: tarfile.DIRTYPE,
    FileKind.SYMLINK: tarfile.SYMTYPE,
    FileKind.FIFO: tarfile.FIFOTYPE,
    FileKind.CHARACTER: tarfile.CHRTYPE,
    FileKind.BLOCK: tarfile.BLKTYPE,
}


class _Output:
    """The end of a stream, as ``tarfile`` writes to it."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, data: Buffer) -> int:
        write_whole(self._out, data)
        return len(data)


def get_tar(
    store: Store,
    volume: VolumeRecord,
    snapshot: Snapshot,
    path: Path,
    out: BinaryIO,
    report: Report = report_nothing,
) -> list[str]:
    """Write a file, or what is below a directory, and return the sockets, which no archive holds.

    Owners are numbers. NoEntryError; DataError; LocalFileError if there is no room.
    """
    reader = Reader(store.objects_of(volume.id).load_object)
    top = reader.get_path(snapshot, path)
    size = top.content_bytes if top.is_directory else top.size
    tally = ProgressTally(report, top.files if top.is_directory else 1, size)
    with tarfile.open(
        fileobj=_Output(out),  # type: ignore[call-overload]
        mode="w|",
        format=tarfile.PAX_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",
    ) as archive:
        objects = store.objects_of(volume.id)
        names: dict[int, str] = {}
        skipped = []
        for here, entry in _iter_below(reader, snapshot, path, top):
            if entry.kind == FileKind.SOCKET:
                skipped.append(show_path(here))
                continue
            header = make_header(here, entry)
            if entry.group and entry.group in names:
                header.type, header.size, header.linkname = tarfile.LNKTYPE, 0, names[entry.group]
            names.setdefault(entry.group, header.name)
            has_content = header.type == tarfile.REGTYPE
            pieces = iter_content_bytes(reader, objects, entry) if has_content else iter(())
            archive.addfile(header, _Pieces(pieces, tally))
            tally.add(files=not entry.is_directory)
    return skipped


def _iter_below(
    reader: Reader, snapshot: Snapshot, path: Path, top: Entry
) -> Iterator[tuple[Path, Entry]]:
    """Yield what is below a directory, a directory before what is in it; or the file. Paths begin
    at the directory."""
    if not top.is_directory:
        yield path[-1:], top
        return
    waiting: list[tuple[Path, Entry]] = [((), top)]
    while waiting:
        here, entry = waiting.pop()
        if here:
            yield here, entry
        if entry.is_directory:
            found = iter_entries(reader.get_tree, entry.tree)
            below = [((*here, child.name), reader.resolve(snapshot, child)) for child in found]
            waiting += reversed(below)


def make_header(path: Path, entry: Entry) -> tarfile.TarInfo:
    """The header of a member. What ustar has no room for is in a pax header."""
    header = tarfile.TarInfo(_to_text(join_path(path)))
    header.type = _TYPES[FileKind(entry.kind)]
    header.mode, header.uid, header.gid = entry.mode, entry.uid, entry.gid
    header.size = entry.size if entry.kind == FileKind.FILE else 0
    header.devmajor, header.devminor = os.major(entry.rdev), os.minor(entry.rdev)
    if entry.kind == FileKind.SYMLINK:
        header.linkname = _to_text(entry.inline)
    seconds, rest = divmod(entry.mtime_ns, 1_000_000_000)
    header.mtime = max(0, seconds)
    header.pax_headers = {XATTR + _to_text(name): _to_text(value) for name, value in entry.xattrs}
    if rest or seconds < 0:
        header.pax_headers |= {"mtime": _show_time(entry.mtime_ns)}
    return header


def _show_time(nanoseconds: int) -> str:
    sign = "-" if nanoseconds < 0 else ""
    seconds, rest = divmod(abs(nanoseconds), 1_000_000_000)
    return f"{sign}{seconds}.{rest:09}"


def _to_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


class _Pieces(io.RawIOBase):
    """The content of a file, which ``tarfile`` reads in parts of its own."""

    def __init__(self, pieces: Iterator[Buffer], tally: ProgressTally) -> None:
        self._pieces = pieces
        self._tally = tally
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        parts = []
        while size > 0:
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = memoryview(piece)
            parts.append(bytes(self._rest[:size]))
            size -= len(parts[-1])
            self._rest = self._rest[len(parts[-1]) :]
        data = b"".join(parts)
        self._tally.add(size=len(data))
        return data
