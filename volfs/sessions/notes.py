"""Notes outside of the store that say which directory a session has, by inode. Only hints.

A directory that is moved keeps its inode, and a copy has another one.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec
from blake3 import blake3

from volfs.model.text_json import decode_json, encode_json
from volfs.store.location import state_directory
from volfs.system.files import remove_file, replace_file

NOTES = "sessions"


class Note(msgspec.Struct):
    """The directory of a session, and the path at which it was seen last."""

    path: str
    device: int
    inode: int


def forget_note(place: Path) -> None:
    """Drop the note, so that nothing is brought to this place any more. Raises nothing."""
    file = _find_file(place)
    if file is not None:
        with suppress(OSError):
            remove_file(file)


def is_noted(path: Path, note: Note) -> bool:
    """Whether the very directory of the note is at a path, and not a copy of it."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (note.device, note.inode)


def _find_file(place: Path) -> Path | None:
    """The file of the note about the session at a place, in a directory of this user alone."""
    state = state_directory()
    if state is None:
        return None
    return state / NOTES / blake3(os.fsencode(place)).hexdigest(length=16)


def read_note(place: Path) -> Note | None:
    """The note about the session at a place; None if there is none."""
    file = _find_file(place)
    with suppress(OSError, ValueError):
        if file is not None and file.lstat().st_uid == os.geteuid() and not file.is_symlink():
            return decode_json(file.read_bytes(), Note)
    return None


def write_note(place: Path, where: Path) -> None:
    """Note that the session of a place has the directory ``where``. Raises nothing."""
    file = _find_file(place)
    with suppress(OSError):
        if file is None or not _is_ours(file.parent):
            return
        status = where.stat()
        note = Note(str(where), status.st_dev, status.st_ino)
        replace_file(file, encode_json(note), durable=False)


def _is_ours(directory: Path) -> bool:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory.lstat().st_uid == os.geteuid()
