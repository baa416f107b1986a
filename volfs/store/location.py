"""Which store is meant, where nobody or somebody says so."""

from __future__ import annotations

import os
from pathlib import Path

from volfs.store.address import parse_address


def default_store() -> str:
    """Where volumes are if nobody says otherwise."""
    if os.geteuid() == 0:
        return "/var/lib/volfs"
    data = os.environ.get("XDG_DATA_HOME")
    return str((Path(data) if data else Path.home() / ".local/share") / "volfs")


def choose_store(named: str | None = None) -> str:
    """The named store, else ``VOLFS_STORE``, else the default; a directory as an absolute path.

    NotAStoreError for an address that can be none.
    """
    return parse_address(named or os.environ.get("VOLFS_STORE") or default_store()).text


def state_directory() -> Path | None:
    """Where this user's notes about stores are, outside of them; None where nobody is at home."""
    named = os.environ.get("VOLFS_STATE_DIR")
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/lib/volfs-state")
    state = os.environ.get("XDG_STATE_HOME")
    try:
        return (Path(state) if state else Path.home() / ".local/state") / "volfs"
    except RuntimeError:
        return None
