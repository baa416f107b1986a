"""Copies of sessions: durable and whole, and each overlay copied once."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from volfs.errors import DamagedObjectError, LocalFileError
from volfs.errors.fault_points import reached
from volfs.sessions.facts import CATALOG, FACTS, LOCK, REMOVED, SCRATCH
from volfs.system.files import NEW_FILE, sync_directory, write_all
from volfs.vfs.salvage import salvage_catalog

_BLOCK = 8 << 20


def find_copy(path: Path, directory: Path, prefix: str) -> Path:
    """The place for a copy, by a name that no mount looks for: a free one, or that of a copy of
    the very same overlay."""
    for place in sorted(directory.glob(f"{prefix}*")):
        if place.suffix != REMOVED and is_same_overlay(place, path):
            return place
    return directory / f"{prefix}{secrets.token_hex(4)}"


def is_same_overlay(a: Path, b: Path) -> bool:
    """Whether the last flush in two directories is the very same one."""
    stamp = _read_stamp(a)
    return bool(stamp) and stamp == _read_stamp(b)


def _read_stamp(path: Path) -> bytes:
    try:
        base = salvage_catalog(path / CATALOG).recorded.base
    except DamagedObjectError:
        return b""
    return base.stamp if base else b""


def copy_session(source: Path, place: Path) -> None:
    """Copy a session's directory, durable and whole or not at all. LocalFileError.

    The caller holds the session's lock. Until the copy has its final name nobody takes it for a
    session.
    """
    temporary = place.with_name(f"{place.name}.{secrets.token_hex(4)}{REMOVED}")
    try:
        _copy_tree(source, temporary)
        reached("copy.written")
        temporary.rename(place)
        sync_directory(place.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise LocalFileError(f"{place.name}: cannot be copied here: {error.strerror}") from error
    reached("copy.named")


def _copy_tree(source: Path, target: Path) -> None:
    for directory in (target, target / CATALOG, target / SCRATCH):
        directory.mkdir(mode=0o700)
    (target / LOCK).touch(mode=0o600)
    if (source / FACTS).exists():
        _copy_file(source / FACTS, target / FACTS)
    _copy_file(source / CATALOG / "data.mdb", target / CATALOG / "data.mdb")
    for arena in sorted((source / SCRATCH).glob("*.arena")):
        _copy_file(arena, target / SCRATCH / arena.name)
    for directory in (target / CATALOG, target / SCRATCH, target):
        sync_directory(directory)


def _copy_file(source: Path, target: Path) -> None:
    """Copy a file, with holes as holes."""
    reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        writer = os.open(target, NEW_FILE, 0o600)
        try:
            _copy_data(reader, writer)
            os.fsync(writer)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _copy_data(reader: int, writer: int) -> None:
    size = os.fstat(reader).st_size
    os.ftruncate(writer, size)
    offset = 0
    while offset < size:
        try:
            offset = os.lseek(reader, offset, os.SEEK_DATA)
        except OSError:
            return  # The rest of the file is a hole.
        end = os.lseek(reader, offset, os.SEEK_HOLE)
        while offset < end:
            data = os.pread(reader, min(_BLOCK, end - offset), offset)
            if not data:
                return
            write_all(writer, data, offset)
            offset += len(data)
