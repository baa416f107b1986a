"""Removing what a dead mount left, and the dead mount itself."""

from __future__ import annotations

import contextlib

from volfs.control.mounts import find_mount_point
from volfs.daemon.dead_mounts import clear_dead_mount
from volfs.daemon.sessions.locate import check_ours
from volfs.daemon.sessions.open import take_session
from volfs.daemon.sessions.opened import end_session
from volfs.errors import MountError
from volfs.sessions.info import SessionInfo, get_session
from volfs.store.contract.store import Store


def discard_overlay(store: Store, name: str) -> None:
    """Remove what a dead mount left, damaged or not. NotFoundError; MountError if the mount
    lives."""
    name = check_ours(store, name)
    found = get_session(store, name)
    end_session(store, take_session(store, name))
    clear_mount(found)


def clear_mount(session: SessionInfo) -> None:
    """Take away the mount of a daemon that died, if it is still there.

    At its place there may be a mount of another store by now, which is dead as well.
    """
    found = find_mount_point(session.mountpoint) if session.mountpoint else None
    if found is not None and session.device in (None, found.device):
        with contextlib.suppress(MountError):
            clear_dead_mount(session.mountpoint)
