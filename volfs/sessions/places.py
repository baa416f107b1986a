"""Where the sessions of a store are, and how their leases name them."""

from __future__ import annotations

from pathlib import Path

from volfs.sessions.facts import SESSIONS
from volfs.store.contract.store import Store


def sessions_directory(store: Store) -> Path:
    """Where a store's sessions are, on this machine."""
    return store.local / SESSIONS


def session_name(store: Store, path: Path) -> str:
    """What a session is called in its lease: its directory, which ``find_session_path`` finds.

    Those that are elsewhere are called by their path: of stores that cannot be written, and
    what an earlier volfs has put there.
    """
    outside = path.parent != sessions_directory(store)
    return str(path) if outside else path.name


def find_session_path(store: Store, name: str) -> Path:
    """The directory of a session that is called so; it may be gone."""
    return sessions_directory(store) / name
