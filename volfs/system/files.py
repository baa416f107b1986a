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
    """A file object that may accept less than it is given."""

    def write(self, data: memoryview, /) -> int | None: ...


def write_all(descriptor: int, data: Data, offset: int | None = None) -> None:
    """Write every byte, from an offset on, or at the file's position. OSError."""
    view = memoryview(data)
    while view:
        if offset is None:
            done = os.write(descriptor, view)
        else:
            done = os.pwrite(descriptor, view, offset)
            offset += done
        view = _rest(view, done)


def write_parts(descriptor: int, parts: Sequence[Data], offset: int) -> None:
    """Write every byte of several parts one behind the other, from an offset on. OSError."""
    size = sum(map(len, parts))
    done = os.pwritev(descriptor, parts, offset)
    if done < size:  # The next write raises the error that explains this, or makes progress.
        write_all(descriptor, memoryview(b"".join(parts))[done:], offset + done)


def write_out(out: Output, data: Data) -> None:
    """Write every byte to a file object. OSError, also if it accepts none at all."""
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
    """Give a file this content. At every moment it has all of the new content, or all of the old.

    The arguments are those of ``written_beside``. When this returns the content is durable, unless
    ``durable`` is False: then a power cut may leave anything.
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
    """A new file beside ``path``, whole and durable, which the block renames or links.

    If it is still there at the end of the block, it is removed. ``beside`` is its name, for
    callers that write there one at a time; a file that a dead one left under it is removed first.
    Without ``beside`` the name is unique. ``made`` is called with the descriptor of the empty
    file. OSError.
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
    """A unique name in an open directory, for a file that is renamed when it is whole.

    A file that has the name at the end of the block is removed.
    """
    name = prefix + secrets.token_hex(8).encode()
    try:
        yield name
    finally:
        # This is needed after a rename, too, which does nothing onto another name of the same
        # file.
        remove_file(name, at)


def remove_file(path: Path | bytes, at: int | None = None) -> None:
    """Remove a name, if it is there. OSError."""
    with suppress(FileNotFoundError):
        os.unlink(path, dir_fd=at)
