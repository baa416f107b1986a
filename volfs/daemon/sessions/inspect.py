"""The overlays of mounts, those of dead mounts included: their content and state."""

from __future__ import annotations

import time
from typing import NamedTuple

from volfs.errors import DamagedObjectError, MountError
from volfs.sessions.facts import CATALOG, FACTS
from volfs.sessions.info import SessionInfo, get_session, list_store_sessions
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.vfs.bases import base_gone, find_version_problem
from volfs.vfs.leftover import Leftover, inspect_apart


class OverlayInfo(NamedTuple):
    """One session, as ``volfs overlays`` shows it."""

    session: SessionInfo
    volume: VolumeRecord | None
    """The volume; None if it is unknown or gone."""
    age: float
    """Seconds since the last record."""
    left: Leftover
    lost: str = ""
    """Why the version that it stands on is not in the store; empty if it is."""

    @property
    def state(self) -> str:
        """``alive``, ``dead``, ``stranded`` or ``damaged``. ``problem`` gives the reason for the
        last two."""
        if self.session.alive:
            return "alive"
        if self.left.problem:
            return "damaged"
        return "stranded" if self.lost else "dead"

    @property
    def problem(self) -> str:
        return self.left.problem or self.lost

    @property
    def version(self) -> int:
        """The version that the overlay stands on; before anything is recorded, that with which the
        mount began."""
        return self.session.base_version if self.left.version is None else self.left.version


def list_overlays(store: Store) -> list[OverlayInfo]:
    """The overlays of all writable mounts, dead mounts included, oldest first."""
    sessions = [s for s in list_store_sessions(store) if not s.read_only and not _is_bare(s)]
    return [describe_session(store, session) for session in sessions]


def get_left(store: Store, name: str) -> tuple[OverlayInfo, VolumeRecord]:
    """An overlay that a dead mount left whole, and its volume.

    NotFoundError; MountError if the mount is alive; BaseGoneError, DamagedObjectError with the
    reason.
    """
    found = describe_session(store, get_session(store, name))
    if found.session.alive:
        raise MountError(f"{name}: mounted at {found.session.mountpoint}, by a living daemon")
    if found.left.problem or found.volume is None:
        raise DamagedObjectError(f"{name}: {found.left.problem}")
    if found.lost:
        raise base_gone(name, found.lost)
    return found, found.volume


def describe_session(store: Store, session: SessionInfo) -> OverlayInfo:
    volume = store.refs.find_volume_by_id(session.volume_id) if session.volume_id else None
    left = inspect_apart(session.path)
    if not session.volume_id:
        problem = f"{FACTS} cannot be read; mounting the volume there again takes it over"
        left = left._replace(problem=left.problem or problem)
    elif volume is None:
        left = left._replace(problem=left.problem or "its volume is gone")
    lost = ""
    if volume and left.base and not (session.alive or left.problem or left.is_clean):
        lost = find_version_problem(store, volume.id, left.base)
    return OverlayInfo(session, volume, _find_age(session), left, lost)


# --- inside -----------------------------------------------------------------


def _is_bare(session: SessionInfo) -> bool:
    """Whether a mount ended before anything was written in its session."""
    return not any((session.path / name).exists() for name in (FACTS, CATALOG))


def _find_age(session: SessionInfo) -> float:
    for path in (session.path / CATALOG / "data.mdb", session.path):
        try:
            return max(0.0, time.time() - path.stat().st_mtime)
        except OSError:
            continue
    return 0.0
