"""Which overlay a user means: by its name in the store, or by the path of a session's directory.

A session's directory lies in the directory of its store. Where that was moved away,
and another put in its place, the path is the way to it. What lies in another store is
read and copied from there, and never changed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from volfs.daemon.session_notes import forget_note
from volfs.errors import DamagedObjectError, LocalFileError, MountError, NotFoundError
from volfs.errors.faults import reached
from volfs.store.base import Store
from volfs.vfs.salvage import salvage_catalog
from volfs.vfs.scratch import sync_directory
from volfs.volume.sessions import (
    CATALOG,
    FACTS,
    LOCK,
    REMOVED,
    SCRATCH,
    Session,
    get_session,
    holding,
    load_session,
    sessions_directory,
)

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_BLOCK = 8 << 20


class Located(NamedTuple):
    """A session, and whether it is one of this store."""

    session: Session
    is_ours: bool


@contextmanager
def located(store: Store, name: str) -> Iterator[Located]:
    """The overlay that ``name`` means: a name that ``volfs overlays`` shows, or a path.

    A session elsewhere is reached through the descriptor of its directory, whatever
    becomes of the path. NotFoundError; LocalFileError for a directory that others may
    write.
    """
    ours = _find_ours(store, name)
    if ours is not None:
        yield Located(ours, True)
        return
    descriptor = _open_checked(store, name)
    try:
        path = Path(f"/proc/self/fd/{descriptor}")
        if not (path / CATALOG).is_dir():
            raise NotFoundError(f"{name}: no overlay is there")
        session = load_session(path)._replace(name=os.path.basename(os.path.abspath(name)))
        yield Located(session, False)
    finally:
        os.close(descriptor)


@contextmanager
def holding_dead(session: Session) -> Iterator[None]:
    """Keep mounts away from what a dead one left; nothing of it changes. MountError if it lives."""
    with holding(session.path / LOCK) as held:
        if not held and (session.path / LOCK).exists():
            raise MountError(
                f"{session.name}: mounted at {session.mountpoint}, by a living daemon "
                f"(process {session.pid})"
            )
        yield


def name_here(store: Store, name: str) -> str:
    """As ``located``, but of another store's overlay a copy in this one: its name.

    The same overlay is not copied twice. NotFoundError also where its volume is not
    in this store.
    """
    with located(store, name) as found:
        if found.is_ours:
            return found.session.name
        session = found.session
        if store.find_volume_by_id(session.volume_id) is None:
            raise NotFoundError(
                f"{name}: it is of the volume {session.volume or 'that nothing tells'} "
                f"({session.volume_id or 'no id'}), which this store does not have; "
                "`volfs overlays export` writes its files out all the same"
            )
        with holding_dead(session):
            return _copy_here(store, session)


def check_ours(store: Store, name: str) -> str:
    """The name of an overlay that is to be removed: never one of another store."""
    with located(store, name) as found:
        if not found.is_ours:
            place = os.path.dirname(os.path.dirname(os.path.abspath(name)))
            raise NotFoundError(
                f"{name}: it is not in this store; "
                f"`volfs --store {place} overlays discard {found.session.name}` drops it there"
            )
        return found.session.name


# --- inside -----------------------------------------------------------------


def _find_ours(store: Store, name: str) -> Session | None:
    """NotFoundError for what is no path and no name."""
    try:
        return get_session(store, name)
    except NotFoundError:
        if os.sep not in name:
            raise
    path = Path(os.path.abspath(name))
    inner = sessions_directory(store)
    if inner.is_dir() and path.parent.is_dir() and path.parent.samefile(inner):
        return get_session(store, path.name)
    return None


def _open_checked(store: Store, name: str) -> int:
    """A descriptor of a directory that nobody but its owner may write, who is ours."""
    try:
        descriptor = os.open(os.path.abspath(name), _DIRECTORY)
    except OSError as error:
        raise NotFoundError(f"no overlay {name}: {error.strerror}") from error
    status = os.fstat(descriptor)
    owners = {os.geteuid(), os.stat(store.url).st_uid}
    if status.st_uid in owners and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return descriptor
    os.close(descriptor)
    raise LocalFileError(f"{name}: not believed, for others may write in it (owner or mode)")


def _copy_here(store: Store, session: Session) -> str:
    directory = sessions_directory(store)
    directory.mkdir(mode=0o700, exist_ok=True)
    place = _find_free(directory, session)
    if place.exists():
        return place.name
    copy_session(session.path, place)
    forget_note(directory / session.name)  # a mount there need not bring it once more
    return place.name


def _find_free(directory: Path, session: Session) -> Path:
    """Where it goes, or where the very same overlay is already.

    Under its own name the next mount at its place takes it over.
    """
    place = directory / session.name
    if not place.exists() or is_same_overlay(place, session.path):
        return place
    return find_copy(session.path, directory, f"{session.name}.from-")


def find_copy(path: Path, directory: Path, prefix: str) -> Path:
    """A name that no mount looks for, free or that of a copy of the very same overlay."""
    for place in sorted(directory.glob(f"{prefix}*")):
        if place.suffix != REMOVED and is_same_overlay(place, path):
            return place
    return directory / f"{prefix}{secrets.token_hex(4)}"


def is_same_overlay(a: Path, b: Path) -> bool:
    """Whether two directories have what the very same flush has written last."""
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

    The caller holds its lock. Until it has its name nobody takes it for a session.
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
    """The bytes, and holes as holes."""
    reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        writer = os.open(target, _NEW_FILE, 0o600)
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
            return  # nothing but a hole is left
        end = os.lseek(reader, offset, os.SEEK_HOLE)
        while offset < end:
            data = os.pread(reader, min(_BLOCK, end - offset), offset)
            offset += os.pwrite(writer, data, offset)
            if not data:
                return
