"""The overlay that a user means, by its name in the store or by the path of its session's
directory.

A session's directory lies in the directory of its store. If that was moved away, and another put
in its place, only the path leads to the session. A session in another store is read and copied
from there, and never changed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from volfs.daemon.sessions.copy import copy_session, find_copy, is_same_overlay
from volfs.errors import LocalFileError, MountError, NotFoundError
from volfs.sessions.facts import CATALOG, LOCK
from volfs.sessions.info import SessionInfo, get_session, load_session
from volfs.sessions.notes import forget_note
from volfs.sessions.places import session_name, sessions_directory
from volfs.store.contract.store import Store
from volfs.system.locks import holding

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Located(NamedTuple):
    """A session, and whether it is one of this store."""

    session: SessionInfo
    is_ours: bool


@contextmanager
def located(store: Store, name: str) -> Iterator[Located]:
    """Find the overlay that ``name`` means: a name that ``volfs overlays`` shows, or a path.

    A session elsewhere is reached through the descriptor of its directory, whatever happens to the
    path. NotFoundError; LocalFileError for a directory that others may write.
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
def holding_dead(session: SessionInfo) -> Iterator[None]:
    """Hold the lock of a dead mount's session during the block, so that nothing of it changes.
    MountError if the mount lives."""
    with holding(session.path / LOCK) as held:
        if not held and (session.path / LOCK).exists():
            raise MountError(
                f"{session.name}: mounted at {session.mountpoint}, by a living daemon "
                f"(process {session.pid})"
            )
        yield


def name_here(store: Store, name: str) -> str:
    """The name of an overlay in this store. An overlay of another store is copied into this one
    first.

    The same overlay is not copied twice. The errors of ``located``; NotFoundError also if its
    volume is not in this store.
    """
    with located(store, name) as found:
        if found.is_ours:
            return found.session.name
        session = found.session
        if store.refs.find_volume_by_id(session.volume_id) is None:
            raise NotFoundError(
                f"{name}: it is of the volume {session.volume or 'that nothing tells'} "
                f"({session.volume_id or 'no id'}), which this store does not have; "
                "`volfs overlays export` writes its files out all the same"
            )
        with holding_dead(session):
            return _copy_here(store, session)


def check_ours(store: Store, name: str) -> str:
    """The name of an overlay that is to be removed. NotFoundError if it is in another store."""
    with located(store, name) as found:
        if not found.is_ours:
            place = os.path.dirname(os.path.dirname(os.path.abspath(name)))
            raise NotFoundError(
                f"{name}: it is not in this store; "
                f"`volfs --store {place} overlays discard {found.session.name}` drops it there"
            )
        return found.session.name


# --- inside -----------------------------------------------------------------


def _find_ours(store: Store, name: str) -> SessionInfo | None:
    """The session of this store that ``name`` means; None for a path elsewhere. NotFoundError for
    an unknown name."""
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
    """Open a directory that is ours or the store owner's, and that nobody else may write.
    NotFoundError; LocalFileError."""
    try:
        descriptor = os.open(os.path.abspath(name), _DIRECTORY)
    except OSError as error:
        raise NotFoundError(f"no overlay {name}: {error.strerror}") from error
    status = os.fstat(descriptor)
    owners = {os.geteuid(), store.local.stat().st_uid}
    if status.st_uid in owners and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return descriptor
    os.close(descriptor)
    raise LocalFileError(f"{name}: not believed, for others may write in it (owner or mode)")


def _copy_here(store: Store, session: SessionInfo) -> str:
    directory = sessions_directory(store)
    directory.mkdir(mode=0o700, exist_ok=True)
    place = _find_free(directory, session)
    if place.exists():
        return session_name(store, place)
    copy_session(session.path, place)
    # A mount at that place need not bring the overlay once more.
    forget_note(directory / session.name)
    return session_name(store, place)


def _find_free(directory: Path, session: SessionInfo) -> Path:
    """A free place for an overlay, or the place where the very same overlay is already.

    Under the session's own name the next mount at its place takes it over.
    """
    place = directory / session.name
    if not place.exists() or is_same_overlay(place, session.path):
        return place
    return find_copy(session.path, directory, f"{session.name}.from-")
