"""The overlays that ended mounts left of a volume, found without opening its store."""

from __future__ import annotations

from pathlib import Path

from volfs.docker.docker_volumes import DockerVolume
from volfs.sessions.facts import SESSIONS
from volfs.sessions.info import list_sessions
from volfs.store.address import find_local_path
from volfs.store.distributed.machine import find_local


def list_left(known: DockerVolume, at: Path | None = None) -> list[str]:
    """The names of the overlays, of all mounts or of the one at a place, as `volfs overlays` takes
    them. Empty if the sessions cannot be read on this machine."""
    place = find_local_path(known.store) or find_local(known.store)
    try:
        sessions = list_sessions(place / SESSIONS) if place else []
    except OSError:
        return []
    return [
        session.name
        for session in sessions
        if session.volume == known.full_name
        and not (session.alive or session.read_only)
        and at in (None, Path(session.mountpoint))
    ]
