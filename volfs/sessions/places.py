"""The places of a store's sessions, and their names in leases."""

from __future__ import annotations

from pathlib import Path

from volfs.sessions.facts import SESSIONS
from volfs.store.contract.store import Store


def sessions_directory(store: Store) -> Path:
    """The directory of a store's sessions on this machine."""
    return store.local / SESSIONS


def session_name(store: Store, path: Path) -> str:
    """The name of a session in its lease: ``MACHINE.DIRECTORY``, for ``find_session_path``.

    The machine is ``Leases.host``. Without a host, the name is that of the directory alone.
    A session outside the store's directory is named by its path. Such are the sessions of stores
    that cannot be written, and those that an earlier volfs has put elsewhere.
    """
    outside = path.parent != sessions_directory(store)
    directory = str(path) if outside else path.name
    host = store.leases.host
    return f"{host}.{directory}" if host else directory


def find_session_path(store: Store, name: str) -> Path:
    """The directory of the session of this name, which may be gone.

    A name that is an absolute path is the directory itself. Nothing is at the place that is
    returned for a session of another machine.
    """
    host = store.leases.host
    return sessions_directory(store) / (name.removeprefix(f"{host}.") if host else name)
