"""The destinations of a version's files: a directory, a new name, or an existing device, fifo or
descriptor."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from volfs.errors import LocalFileError
from volfs.model.entry import Entry, FileKind
from volfs.model.manifest import Snapshot
from volfs.model.names import Path
from volfs.model.objects import Buffer
from volfs.model.text import show
from volfs.model.tree import iter_entries
from volfs.store.contract.objects import Objects
from volfs.system.descriptors import find_descriptor
from volfs.system.files import write_out
from volfs.volume.local_listing import local_errors
from volfs.volume.version_reader import Reader, iter_content_bytes


class OutputExistsError(LocalFileError):
    """The output's name is taken already. A usage error, as on Modal."""

    exit_status = 2


def write_content(objects: Objects, snapshot: Snapshot, path: Path, out: BinaryIO) -> None:
    """Write the bytes of a file, or of all files below a directory one after the other."""
    reader = Reader(objects.load_object)
    waiting = [(path, reader.get_path(snapshot, path))]
    while waiting:
        path, entry = waiting.pop()
        if entry.is_directory:
            below = [
                ((*path, child.name), reader.resolve(snapshot, child))
                for child in iter_entries(reader.get_tree, entry.tree)
            ]
            waiting += reversed(below)
        elif entry.kind == FileKind.FILE:
            for piece in iter_content_bytes(reader, objects, entry):
                write_whole(out, piece)


def find_output(destination: bytes, path: Path, entry: Entry) -> bytes:
    """The path to which a file or directory goes, by the rules of ``cp``. The root goes into the
    destination."""
    if os.path.isdir(destination) or (destination.endswith(b"/") and not entry.is_directory):
        return os.path.join(destination, *path[-1:])
    return destination


@contextmanager
def opened_descriptor(destination: bytes) -> Iterator[BinaryIO | None]:
    """Open for writing what a path such as /dev/stdout or /dev/fd/3 means; None for all other
    paths.

    Bytes are thus written at the position of the program that opened the descriptor, and a file
    that it appends to is not overwritten. LocalFileError.
    """
    number = find_descriptor(destination)
    if number is None or os.path.isdir(destination):
        yield None
        return
    with local_errors(destination):
        descriptor = os.dup(number)
    with os.fdopen(descriptor, "wb", 0) as out:
        yield out


@contextmanager
def opened_new(destination: bytes, *, force: bool) -> Iterator[BinaryIO]:
    """Open a file that is new, or with ``force`` any, for writing. OutputExistsError;
    LocalFileError."""
    with local_errors(destination):
        try:
            file = open(destination, "wb" if force else "xb")  # noqa: SIM115
        except FileExistsError:
            raise output_exists(destination) from None
    with file:
        yield file


# --- devices and fifos ------------------------------------------------------


def find_special(output: bytes, *, force: bool) -> int | None:
    """The type of an output that is written into instead of being replaced; None for all others.

    These outputs are fifos and devices, as for ``cp``. OutputExistsError for a block device, which
    has content, unless ``force``; LocalFileError for a socket.
    """
    try:
        mode = os.stat(output).st_mode
    except OSError:
        return None
    if stat.S_ISSOCK(mode):
        raise LocalFileError(f"{show(output)}: a socket; it is neither replaced nor written into")
    if stat.S_ISBLK(mode) and not force:
        raise output_exists(output)
    kinds = (stat.S_ISFIFO, stat.S_ISCHR, stat.S_ISBLK)
    return stat.S_IFMT(mode) if any(is_kind(mode) for is_kind in kinds) else None


def write_special(objects: Objects, reader: Reader, entry: Entry, output: bytes, kind: int) -> None:
    """Write a file's bytes into an existing device or fifo. Creates nothing."""
    if entry.kind != FileKind.FILE:
        raise LocalFileError(f"{show(output)}: not a directory; only a file is written into it")
    with local_errors(output):
        fd = os.open(output, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(fd, "wb", 0) as out:
            if stat.S_IFMT(os.fstat(fd).st_mode) != kind:
                raise LocalFileError(f"{show(output)}: another file took its place meanwhile")
            for piece in iter_content_bytes(reader, objects, entry):
                write_whole(out, piece)


def write_whole(out: BinaryIO, piece: Buffer) -> None:
    """Write all of ``piece``. LocalFileError if there is no room; BrokenPipeError if nobody reads
    any more."""
    try:
        write_out(out, piece)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LocalFileError(f"output: {error.strerror}") from error


def output_exists(output: bytes) -> OutputExistsError:
    return OutputExistsError(
        f"output path '{show(output)}' already exists; use --force to overwrite it"
    )
