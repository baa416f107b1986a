"""Bringing an overlay that went away with its store's directory to the store in its place.

After ``mv store bad; mv backup store`` the session of a mount lies in ``bad/mounts``. At its place
lies a copy from the time of the backup, or nothing. A note outside of the store says which
directory was the session's, by its inode; a copy has another one. The directory is looked for
where it was seen last, and beside the store. A note is only a hint: without one, or if its
directory is not found, the mount begins like any other.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path

import msgspec

from volfs.daemon.mount_options import MountOptions
from volfs.daemon.sessions.copy import copy_session, is_same_overlay
from volfs.daemon.sessions.locate import holding_dead, located
from volfs.daemon.sessions.open import find_session_place
from volfs.errors import DamagedObjectError, LocalFileError, MountError, NotFoundError
from volfs.sessions.facts import CATALOG, LOCK, REMOVED, SESSIONS
from volfs.sessions.notes import Note, is_noted, read_note, write_note
from volfs.sessions.places import session_name
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.system.locks import is_locked
from volfs.vfs.salvage import salvage_catalog

log = logging.getLogger(__name__)

BESIDE_MAX = 4096
"""The most directories beside the store that are looked into."""


def carry_over(store: Store, volume: VolumeRecord, options: MountOptions) -> None:
    """Before a mount, bring the overlay that its place had in the former directory of the store.

    LocalFileError if it cannot be copied. The source is not changed. What the store has at that
    place, a state from the time of the backup, stays under another name.
    """
    if options.adopt or options.is_read_only:
        return
    place = find_session_place(store, volume, options)
    note = read_note(place)
    if note is None or is_noted(place, note):
        return
    for candidate in _iter_candidates(store, place, note):
        if is_noted(candidate, note) and _carry(store, volume, candidate, place):
            return


def _carry(store: Store, volume: VolumeRecord, candidate: Path, place: Path) -> bool:
    with ExitStack() as stack:
        try:
            found = stack.enter_context(located(store, str(candidate)))
            stack.enter_context(holding_dead(found.session))
            is_other = found.is_ours or found.session.volume_id != volume.id
            if is_other or not _has_changes(found.session.path):
                return False
        except (NotFoundError, MountError, LocalFileError, DamagedObjectError):
            return False
        _bring(store, found.session.path, place)
        log.info("took over the overlay in %s", candidate)
        return True


def _bring(store: Store, source: Path, place: Path) -> None:
    if place.exists() and not is_same_overlay(place, source):
        _put_aside(store, place)
    if not place.exists():
        place.parent.mkdir(mode=0o700, exist_ok=True)
        copy_session(source, place)
    write_note(place, place)


def _has_changes(path: Path) -> bool:
    return bool(salvage_catalog(path / CATALOG).recorded.inodes)


def _put_aside(store: Store, place: Path) -> None:
    """Rename what the backup has of the same mount. LocalFileError if a living mount has it."""
    if is_locked(place / LOCK):
        raise LocalFileError(f"{place}: a living mount has it")
    token = secrets.token_hex(4)
    try:
        is_empty = not _has_changes(place)
    except DamagedObjectError:
        is_empty = False
    ending = f"{token}{REMOVED}" if is_empty else f"before-{token}"
    aside = place.with_name(f"{place.name}.{ending}")
    lease = store.leases.find(session_name(store, place))
    if lease is not None and not is_empty:
        store.leases.put(msgspec.structs.replace(lease, session=session_name(store, aside)))
    place.rename(aside)


# --- candidates -------------------------------------------------------------


def _iter_candidates(store: Store, place: Path, note: Note) -> Iterator[Path]:
    yield Path(note.path)
    with suppress(OSError), os.scandir(store.local.parent) as entries:
        for entry in islice(entries, BESIDE_MAX):
            yield Path(entry.path, SESSIONS, place.name)
