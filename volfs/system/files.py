"""Files that appear whole, bytes that are all written, and names that are durable."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

Data = bytes | bytearray | memoryview
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Output(Protocol):
    """A file object that may take less than it is given."""

    def write(self, data: memoryview, /) -> int | None: ...


def write_all(descriptor: int, data: Data, offset: int | None = None) -> None:
    """Write every byte, from an offset on, or where the file is at. OSError."""
    view = memoryview(data)
    while view:
        if offset is None:
            done = os.write(descriptor, view)
        else:
            done = os.pwrite(descriptor, view, offset)
            offset += done
        view = _rest(view, done)


def write_parts(descriptor: int, parts: Sequence[Data], offset: int) -> None:
    """Write parts one behind the other, every byte of them, from an offset on. OSError."""
    size = sum(map(len, parts))
    done = os.pwritev(descriptor, parts, offset)
    if done < size:  # what comes next is the error that explains it, or progress
        write_all(descriptor, memoryview(b"".join(parts))[done:], offset + done)


def write_out(out: Output, data: Data) -> None:
    """Write every byte to a file object. OSError, also where it takes none at all."""
    view = memoryview(data)
    while view:
        view = _rest(view, out.write(view))


def _rest(view: memoryview, done: int | None) -> memoryview:
    if not done:
        raise OSError(errno.EIO, "File object write made no progress")
    return view[done:]


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- files that appear whole ------------------------------------------------


def replace_file(
    path: Path,
    data: Data | Iterable[Data],
    *,
    mode: int = 0o600,
    beside: str | None = None,
    made: Callable[[int], None] | None = None,
    durable: bool = True,
) -> None:
    """Let a file have this content: at every moment it has all of it, or all that it had.

    As ``written_beside``. When it returns the content is durable, unless that is not asked
    for: then a power cut may leave anything.
    """
    with written_beside(path, data, mode=mode, beside=beside, made=made, durable=durable) as new:
        os.rename(new, path)
    if durable:
        sync_directory(path.parent)


@contextmanager
def written_beside(
    path: Path,
    data: Data | Iterable[Data],
    *,
    mode: int = 0o600,
    beside: str | None = None,
    made: Callable[[int], None] | None = None,
    durable: bool = True,
) -> Iterator[Path]:
    """A new file in the directory of ``path``, whole and durable: to be renamed or linked there.

    What is left of it at the end of the block is removed. ``beside`` is its name, for those
    who write there one at a time: what a dead one left under it is removed first. Others get
    a name that nobody has. ``made`` is called with the descriptor of the empty file. OSError.
    """
    new = path.with_name(beside or f".volfs-{secrets.token_hex(8)}.new")
    if beside:
        remove_file(new)
    descriptor = os.open(new, NEW_FILE, mode)
    try:
        with open(descriptor, "wb") as file:
            if made:
                made(descriptor)
            file.writelines((data,) if isinstance(data, Data) else data)
            file.flush()
            if durable:
                os.fsync(descriptor)
        yield new
    finally:
        remove_file(new)


@contextmanager
def spare_name(at: int, prefix: bytes) -> Iterator[bytes]:
    """A name in an open directory that nobody has, for what is renamed when it is whole.

    What has it at the end of the block is removed.
    """
    name = prefix + secrets.token_hex(8).encode()
    try:
        yield name
    finally:
        # Also after a rename, which onto another name of the same file does nothing.
        remove_file(name, at)


def remove_file(path: Path | bytes, at: int | None = None) -> None:
    """Take a name away, if it is there. OSError."""
    with suppress(FileNotFoundError):
        os.unlink(path, dir_fd=at)
