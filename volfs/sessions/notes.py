"""Which directory a session has: a note outside of the store, by inode. Only a hint.

A directory that is moved keeps its inode, and a copy has another one.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec
from blake3 import blake3

from volfs.model.text import to_stored
from volfs.store.location import state_directory

NOTES = "sessions"
_encoder = msgspec.json.Encoder()


class Note(msgspec.Struct):
    """Which directory a session has, and where it was seen last."""

    path: str
    device: int
    inode: int


_decoder = msgspec.json.Decoder(Note)


def forget_note(place: Path) -> None:
    """Nothing is to be brought to this place any more. Raises nothing."""
    file = _find_file(place)
    if file is not None:
        with suppress(OSError):
            file.unlink()


def is_noted(path: Path, note: Note) -> bool:
    """Whether that very directory is there, and not a copy of it."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (note.device, note.inode)


def _find_file(place: Path) -> Path | None:
    """The note about the session at a place, in a directory of this user's alone."""
    state = state_directory()
    if state is None:
        return None
    return state / NOTES / blake3(os.fsencode(place)).hexdigest(length=16)


def read_note(place: Path) -> Note | None:
    """What is known of the session at a place."""
    file = _find_file(place)
    with suppress(OSError, ValueError):
        if file is not None and file.lstat().st_uid == os.geteuid() and not file.is_symlink():
            return _decoder.decode(file.read_bytes())
    return None


def write_note(place: Path, where: Path) -> None:
    """The session of a place has the directory ``where``. Raises nothing."""
    file = _find_file(place)
    with suppress(OSError):
        if file is None or not _is_ours(file.parent):
            return
        status = where.stat()
        note = Note(to_stored(str(where)), status.st_dev, status.st_ino)
        temporary = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
        temporary.write_bytes(_encoder.encode(note))
        temporary.rename(file)


def _is_ours(directory: Path) -> bool:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory.lstat().st_uid == os.geteuid()
